// The picture as a file of its own: an SVG with its looks and a description in it.

const SVG = "http://www.w3.org/2000/svg";

export function svgText(svg, css, description) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const make = (name, textContent) => Object.assign(document.createElementNS(SVG, name), { textContent });
  copy.querySelector("title").after(make("desc", description), make("style", css));
  return new XMLSerializer().serializeToString(copy);
}

export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
