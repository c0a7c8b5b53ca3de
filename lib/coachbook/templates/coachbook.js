// The one script of a page: shows outputs, draws charts, keeps the loading sign, submits choosers, ends the kernel of a page that is left.
(() => {
  "use strict";
  const OUTPUT = 'script[type="application/vnd.voila.cell-output+json"]';
  const PATIENCE_MS = 20000;
  const here = document.currentScript;

  // Charts: a specification stands as JSON in each .cb-chart, wherever and whenever it appears.
  const library = here.dataset.vega && new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: here.dataset.vega, onload: resolve, onerror: reject });
    document.head.append(script);
  });
  const refuse = async () => { throw new Error("coachbook charts load nothing"); };
  const offline = { load: refuse, sanitize: refuse, http: refuse, file: refuse };

  async function draw(chart) {
    chart.dataset.state = "drawing";
    try {
      const spec = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
      const canvas = chart.appendChild(document.createElement("div"));
      await library;
      await window.vegaEmbed(canvas, spec, { ast: true, actions: false, renderer: "svg", loader: offline });
      chart.dataset.state = "drawn";
    } catch (problem) {
      chart.dataset.state = "failed";
      chart.textContent = chart.getAttribute("aria-label");
      console.error(problem);
    }
    look();
  }

  // Outputs that a browser shows as they are: each stands as JSON before its place.
  function show(place) {
    const held = place.previousElementSibling;
    place.outerHTML = JSON.parse(held.textContent);
    held.remove();
  }

  // Loading sign: there until the last output is in the page. Where there are widgets, Voilà's front end takes the cells over (a class tells).
  const frontEnd = () => document.getElementById("cb-front-end");
  let done = false;

  function isComplete() {
    const outputs = [...document.querySelectorAll("#rendered_cells .jp-OutputArea-output")];
    return document.getElementById("cb-end")
      && (!frontEnd() || document.querySelector("#rendered_cells.lm-Widget"))
      && !document.querySelector(OUTPUT)
      && outputs.every((output) => output.hasChildNodes())
      && !document.querySelector('.cb-chart[data-state="drawing"]');
  }

  function finish() {
    done = true;
    document.body.dataset.state = "done";
    document.getElementById("cb-loading")?.remove();
  }

  function look() {
    document.querySelectorAll(".cb-output").forEach(show);
    document.querySelectorAll(".cb-chart:not([data-state])").forEach(draw);
    const progress = document.querySelector("#cb-loading progress");
    if (done || !progress) return;
    progress.value = document.querySelectorAll("[cell-index]").length;
    if (isComplete()) finish();
  }

  new MutationObserver(look).observe(document, { childList: true, subtree: true });

  addEventListener("load", () => {
    if (done || !document.getElementById("cb-loading")) return;
    if (document.getElementById("cb-end")) setTimeout(() => done || finish(), PATIENCE_MS);
    else document.getElementById("cb-loading").dataset.state = "broken";
  });

  // Voilà's front end ends the kernel when the page is left; where it is not, or not yet, this does.
  addEventListener("pagehide", () => {
    const config = document.getElementById("jupyter-config-data");
    if (!config || (done && frontEnd())) return;
    const form = new FormData();
    form.append("_xsrf", document.cookie.match(/\b_xsrf=([^;]*)/)?.[1] ?? "");
    navigator.sendBeacon(`/voila/api/shutdown/${JSON.parse(config.textContent).kernelId}`, form);
  });

  // Choosers: a picked value opens its page; who walks through the list by keyboard confirms with Enter or the button.
  document.documentElement.classList.add("cb-js");
  const chooser = (event) => event.target.matches?.(".cb-choose select, .cb-choose input") && event.target.form;
  let walking = false;

  addEventListener("pointerdown", () => { walking = false; });
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && walking && chooser(event)) {
      event.preventDefault();
      chooser(event).requestSubmit();
    }
    walking = event.key !== "Enter";
  });
  addEventListener("change", (event) => { if (!walking && chooser(event)) chooser(event).requestSubmit(); });
})();
