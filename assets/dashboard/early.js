// Runs before the page is drawn: under `live`, the style sheet shows charts and hides the tables of
// their numbers. Without scripts, or if the module does not load, the tables stay visible.
const root = document.documentElement;
root.classList.add("live");
addEventListener("error", ({ target }) => {
  if (target.type === "module") root.classList.remove("live");
}, true);
