"""What keeps the house in order: generators and extractors that the tests and the Makefile share."""
