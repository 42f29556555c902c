/** A button that shows more of them: closed by Escape, by a choice, and where the focus leaves it. */

/** @param {HTMLElement} button @param {HTMLElement} list of buttons, behind it in the page */
export function menu(button, list) {
  const show = (/** @type {boolean} */ shown) => {
    list.hidden = !shown;
    button.ariaExpanded = String(shown);
  };
  const items = () => [...list.querySelectorAll(/** @type {"button"} */ ("button:not([hidden])"))];
  const step = (/** @type {number} */ by) => {
    const all = items();
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    all[(at + by + all.length) % all.length]?.focus();
  };
  button.setAttribute("aria-controls", list.id);
  button.addEventListener("click", () => {
    show(list.hidden !== false);
    if (!list.hidden) items()[0]?.focus();
  });
  list.addEventListener("click", ({ target }) => {
    if (!(target instanceof Element && target.closest("button"))) return;
    if (list.contains(document.activeElement)) button.focus(); // unless the choice led elsewhere
    show(false);
  });
  for (const element of [button, list]) {
    element.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      if (event.key === "ArrowDown") step(1);
      else if (event.key === "ArrowUp") step(-1);
      else if (event.key === "Escape") {
        show(false);
        button.focus();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    element.addEventListener("focusout", ({ relatedTarget }) => {
      const inside = relatedTarget instanceof Node && (list.contains(relatedTarget) || relatedTarget === button);
      if (!inside && relatedTarget) show(false);
    });
  }
  document.addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !list.contains(target) && !button.contains(target)) show(false);
  });
  show(false);
}
