/** Tabs, by the pattern of ARIA: one is in the way of the Tab key, arrows go to the others. */

/** @param {HTMLElement} tablist @returns {(id: string) => void} shows the tab with that id */
export function tabs(tablist) {
  const all = [...tablist.querySelectorAll(/** @type {"button"} */ ('[role="tab"]'))];
  const panel = (/** @type {HTMLElement} */ tab) => /** @type {HTMLElement} */ (document.getElementById(tab.getAttribute("aria-controls") ?? ""));
  const show = (/** @type {string} */ id) => {
    for (const tab of all) {
      const isShown = tab.id === id;
      tab.ariaSelected = String(isShown);
      tab.tabIndex = isShown ? 0 : -1;
      panel(tab).hidden = !isShown;
    }
  };
  for (const tab of all) tab.addEventListener("click", () => show(tab.id));
  tablist.addEventListener("keydown", ({ key }) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[key];
    if (!by) return;
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const next = all[(at + by + all.length) % all.length];
    show(next.id);
    next.focus();
  });
  show(all[0].id);
  return show;
}
