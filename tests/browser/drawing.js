// What is on the screen as the elements of an SVG: boxes, texts and icons, where they are.
() => {
  const out = [];
  const escaped = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
  const seen = colour => colour && !/^rgba\(.*, 0\)$|^transparent$/.test(colour);
  const size = { w: innerWidth, h: innerHeight };
  const n = value => Math.round(value * 10) / 10;
  // What of a box is on the screen, within all boxes around it that cut off what goes beyond them.
  function shown(element, box, itself = false) {
    let { left, top, right, bottom } = box;
    for (let at = element; at !== null && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at);
      if ((at !== element || itself) && style.overflow !== 'visible') {
        const b = at.getBoundingClientRect();
        left = Math.max(left, b.left);
        right = Math.min(right, b.right);
        top = Math.max(top, b.top);
        bottom = Math.min(bottom, b.bottom);
      }
    }
    left = Math.max(left, 0);
    top = Math.max(top, 0);
    right = Math.min(right, size.w);
    bottom = Math.min(bottom, size.h);
    return right - left > 0.5 && bottom - top > 0.5 ? { left, top, right, bottom } : null;
  }
  function rect(b, fill, radius) {
    const r = parseFloat(radius) > 0 ? ` rx="${n(parseFloat(radius))}"` : '';
    out.push(
      `<rect x="${n(b.left)}" y="${n(b.top)}" width="${n(b.right - b.left)}" height="${n(b.bottom - b.top)}"${r} fill="${fill}"/>`
    );
  }
  function box(element, style) {
    const whole = element.getBoundingClientRect();
    const b = shown(element, whole);
    if (b === null) return;
    if (seen(style.backgroundColor)) rect(b, style.backgroundColor, style.borderTopLeftRadius);
    const sides = ['Top', 'Right', 'Bottom', 'Left'];
    const wide = side =>
      style[`border${side}Style`] === 'none' ? 0 : parseFloat(style[`border${side}Width`]);
    const same = sides.every(s => wide(s) > 0 && style[`border${s}Color`] === style.borderTopColor);
    if (same && seen(style.borderTopColor)) {
      const r = parseFloat(style.borderTopLeftRadius) || 0;
      out.push(
        `<rect x="${n(b.left + 0.5)}" y="${n(b.top + 0.5)}" width="${n(b.right - b.left - 1)}" height="${n(b.bottom - b.top - 1)}" rx="${n(r)}" fill="none" stroke="${style.borderTopColor}"/>`
      );
      return;
    }
    for (const side of sides) {
      const w = wide(side),
        colour = style[`border${side}Color`];
      if (w === 0 || !seen(colour)) continue;
      const { left, top, right, bottom } = whole;
      const line = {
        Top: { left, top, right, bottom: top + w },
        Bottom: { left, top: bottom - w, right, bottom },
        Left: { left, top, right: left + w, bottom },
        Right: { left: right - w, top, right, bottom }
      }[side];
      const visible = shown(element, line);
      if (visible !== null) rect(visible, colour, 0);
    }
  }
  function words(node, style) {
    const range = document.createRange();
    const text = node.data;
    // A run for each line that the text takes.
    let runs = [];
    for (const match of text.matchAll(/\S+/g)) {
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const b = range.getBoundingClientRect();
      const last = runs[runs.length - 1];
      if (last && Math.abs(last.bottom - b.bottom) < 2) {
        last.text += text.slice(last.end, match.index) + match[0];
        last.right = b.right;
        last.end = match.index + match[0].length;
      } else {
        runs.push({
          text: match[0],
          left: b.left,
          right: b.right,
          top: b.top,
          bottom: b.bottom,
          end: match.index + match[0].length
        });
      }
    }
    const font = parseFloat(style.fontSize);
    for (const run of runs) {
      const b = shown(node.parentElement, run, true);
      if (b === null || b.bottom - b.top < (run.bottom - run.top) * 0.6) continue;
      let text = run.text.replace(/\s+/g, ' ');
      if (b.right < run.right - 1) {
        const kept = Math.max(
          1,
          Math.floor((text.length * (b.right - run.left)) / (run.right - run.left)) - 1
        );
        text = `${text.slice(0, kept)}…`;
      }
      const width = Math.min(b.right, run.right) - run.left;
      const mono = /mono/i.test(style.fontFamily) ? ' class="m"' : '';
      const heavy = parseInt(style.fontWeight) >= 600 ? ' font-weight="600"' : '';
      const upper = style.textTransform === 'uppercase' ? text.toUpperCase() : text;
      const middle = (run.top + run.bottom) / 2 + font * 0.35;
      out.push(
        `<text x="${n(run.left)}" y="${n(middle)}" font-size="${n(font)}" textLength="${n(width)}" lengthAdjust="spacingAndGlyphs" fill="${style.color}"${mono}${heavy}>${escaped(upper)}</text>`
      );
    }
  }
  function picture(svg) {
    const b = svg.getBoundingClientRect();
    const visible = shown(svg, b);
    if (visible === null || visible.bottom - visible.top < b.height * 0.6) return;
    const copy = svg.cloneNode(true);
    const originals = [...svg.querySelectorAll('*')],
      copies = [...copy.querySelectorAll('*')];
    originals.forEach((one, at) => {
      const s = getComputedStyle(one),
        c = copies[at];
      for (const name of [...c.getAttributeNames()]) {
        if (/^(class|style|id|data-|aria-|fill$|stroke$)/.test(name)) c.removeAttribute(name);
      }
      if (one.tagName !== 'g' && one.tagName !== 'title') {
        c.setAttribute('fill', s.fill);
        if (s.stroke !== 'none') c.setAttribute('stroke', s.stroke);
      }
    });
    copy.querySelectorAll('title').forEach(t => t.remove());
    for (const name of [...copy.getAttributeNames()])
      if (name !== 'viewBox') copy.removeAttribute(name);
    if (!copy.hasAttribute('viewBox'))
      copy.setAttribute('viewBox', `0 0 ${n(b.width)} ${n(b.height)}`);
    copy.setAttribute('x', n(b.left));
    copy.setAttribute('y', n(b.top));
    copy.setAttribute('width', n(b.width));
    copy.setAttribute('height', n(b.height));
    out.push(copy.outerHTML.replace(/\s+xmlns(:\w+)?="[^"]*"/g, '').replace(/>\s+</g, '><'));
  }
  function draw(element) {
    const style = getComputedStyle(element);
    if (style.display === 'none' || parseFloat(style.opacity) < 0.1) return;
    if (style.visibility === 'hidden') {
      [...element.children].forEach(draw); // what is inside of it may be seen all the same
      return;
    }
    if (element.tagName === 'svg') {
      picture(element);
      return;
    }
    if (style.clipPath !== 'none' && element.getBoundingClientRect().width <= 2) return;
    box(element, style);
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName)) {
      const chosen =
        element.tagName === 'SELECT' ? element.selectedOptions[0]?.text : element.value;
      const text = chosen || element.placeholder || '';
      const b = shown(element, element.getBoundingClientRect());
      if (text !== '' && b !== null) {
        const font = parseFloat(style.fontSize);
        out.push(
          `<text x="${n(b.left + parseFloat(style.paddingLeft) + 1)}" y="${n((b.top + b.bottom) / 2 + font * 0.35)}" font-size="${n(font)}" fill="${style.color}"${element.value ? '' : ' opacity=".7"'}>${escaped(text)}</text>`
        );
      }
      return;
    }
    const inner = element.shadowRoot
      ? [...element.shadowRoot.childNodes, ...element.childNodes]
      : element.childNodes;
    for (const child of inner) {
      if (
        child.nodeType === Node.TEXT_NODE &&
        child.data.trim() !== '' &&
        element.tagName !== 'STYLE' &&
        element.tagName !== 'SCRIPT'
      )
        words(child, style);
      else if (child.nodeType === Node.ELEMENT_NODE) draw(child);
    }
  }
  draw(document.body);
  return [size.w, size.h, out.join('\n')];
};
