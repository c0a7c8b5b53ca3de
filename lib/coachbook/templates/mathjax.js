// Lab's Markdown renderer asks for MathJax with every page. There is no mathematics in our pages: this is all it gets.
window.MathJax = { Hub: { Config() {}, Configured() {}, Queue() {}, Register: { StartupHook() {} } }, Ajax: {} };
