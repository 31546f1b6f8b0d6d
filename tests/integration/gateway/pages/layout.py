"""Whether a page is wider than its window, and what of its texts is cut off or lies on another."""

from __future__ import annotations

from playwright.sync_api import Page

_LOOK = """() => {
    const UNSEEN = "script, .visually-hidden, .skip, option, datalist";
    const ABOVE = "dialog, .menu > .sheet, .notices, thead, .list-head, .picture-problem, .picture-waits";
    const LOST = ["hidden", "clip"];
    const seen = (each) => each.checkVisibility({
        opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true,
    });
    const nameOf = (each) => each.id || each.className || each.tagName;
    const found = [], texts = [];
    const inside = (box) => {
        const {left, top} = box.getBoundingClientRect();
        const [x, y] = [left + box.clientLeft, top + box.clientTop];
        return {left: x, top: y, right: x + box.clientWidth, bottom: y + box.clientHeight};
    };
    // what is left of a text's place after all that holds it; what can be scrolled to is not lost, and what ends in
    // dots is told in full elsewhere
    const left = (parent, rect, told) => {
        let area = rect;
        let fixed = false;
        for (let box = parent; box !== document.documentElement && !fixed; box = box.parentElement) {
            const style = getComputedStyle(box);
            if (style.display === "inline" || style.display === "contents") continue;
            const clip = inside(box);
            if (LOST.includes(style.overflowY) && (area.top < clip.top - 3 || area.bottom > clip.bottom + 3)) {
                found.push(`${told}: cut in height by ${nameOf(box)}`);
            }
            if (LOST.includes(style.overflowX) && style.textOverflow !== "ellipsis"
                && (area.left < clip.left - 3 || area.right > clip.right + 3)) {
                found.push(`${told}: cut in width by ${nameOf(box)}`);
            }
            area = {...area};
            if (style.overflowX !== "visible") {
                area.left = Math.max(area.left, clip.left);
                area.right = Math.min(area.right, clip.right);
            }
            if (style.overflowY !== "visible") {
                area.top = Math.max(area.top, clip.top);
                area.bottom = Math.min(area.bottom, clip.bottom);
            }
            fixed = style.position === "fixed";
        }
        return area;
    };
    const {scrollWidth: wide, clientWidth: room} = document.documentElement;
    if (wide > room) found.push(`${wide} pixels on a screen of ${room}`);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, parent = node.parentElement;
        if (!node.data.trim() || parent.closest(UNSEEN) || !seen(parent)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const told = node.data.trim().slice(0, 30);
        for (const {left: x, top: y, right, bottom} of range.getClientRects()) {
            const area = left(parent, {left: x, top: y, right, bottom}, told);
            if (area.right - area.left > 2 && area.bottom - area.top > 2) texts.push({...area, node, parent, told});
        }
    }
    texts.sort((one, other) => one.top - other.top);
    texts.forEach((one, at) => {
        for (let next = at + 1; next < texts.length && texts[next].top < one.bottom - 3; next += 1) {
            const other = texts[next];
            const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
            const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
            // letters of neighbouring lines may touch
            if (one.node === other.node || wide < 3) continue;
            if (high < 0.35 * Math.min(one.bottom - one.top, other.bottom - other.top)) continue;
            if (one.parent.closest(ABOVE) !== other.parent.closest(ABOVE)) continue;
            found.push(`${one.told} lies on ${other.told}`);
        }
    });
    return [...new Set(found)];
}"""


def cut_or_overlapping(page: Page) -> list[str]:
    """One line for each."""
    found: list[str] = page.evaluate(_LOOK)
    return found


def enlarge(page: Page, scale: int) -> None:
    """Letters of so many percent, as a browser's setting makes them; and wait until it is drawn."""
    page.evaluate(
        """(scale) => new Promise((drawn) => {
            document.documentElement.style.fontSize = `${scale}%`;
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(drawn, 100)));
        })""",
        scale,
    )
