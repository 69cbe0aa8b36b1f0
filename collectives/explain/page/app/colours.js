// Colours of blocks and of contributions: far apart for colour-blind eyes too, each with the ink
// that can be read on it. They are never the only sign: every block has its number.
const COLOURS = [
  ["#0072b2", "#fff"], ["#e69f00", "#000"], ["#009e73", "#000"], ["#cc79a7", "#000"],
  ["#56b4e9", "#000"], ["#d55e00", "#000"], ["#f0e442", "#000"], ["#555555", "#fff"],
  ["#7b3f98", "#fff"], ["#9ccb5f", "#000"], ["#8c4a1f", "#fff"], ["#17717e", "#fff"],
  ["#f2a6b5", "#000"], ["#b9b9b9", "#000"], ["#2b4a8f", "#fff"], ["#cdb67f", "#000"],
];

export const colour = (number) => COLOURS[number % COLOURS.length];
