// Where the ranks are in the picture: on a ring, a line, a tree or a hypercube.

export const WIDTH = 560, HEIGHT = 384;

// A line takes less height than the others.
export const heightOf = (layout) => (layout === "line" ? 210 : HEIGHT);

const MARGIN = 44;

// The places {x, y} of p ranks; `links` are the pairs (source, dest) that talk.
export function places(layout, p, links) {
  return { ring, line, tree, hypercube }[layout](p, links);
}

// The layout that fits who talks with whom.
export function fitting(p, links) {
  const parent = parents(p, links);
  if (parent) return parent.every((one, rank) => one < 0 || Math.abs(one - rank) === 1) ? "line" : "tree";
  const share = (test) => links.filter(test).length / (links.length || 1);
  const near = share(([a, b]) => [1, p - 1].includes((b - a + p) % p));
  const bit = share(([a, b]) => Number.isInteger(Math.log2(a ^ b)));
  return near < 0.6 && bit === 1 && p >= 4 && Number.isInteger(Math.log2(p)) ? "hypercube" : "ring";
}

function ring(p) {
  const [x, y] = [WIDTH / 2, HEIGHT / 2];
  return Array.from({ length: p }, (_, rank) => {
    const angle = (2 * Math.PI * rank) / p - Math.PI / 2;
    return { x: x + (x - MARGIN - 40) * Math.cos(angle), y: y + (y - MARGIN) * Math.sin(angle) };
  });
}

function line(p) {
  const step = (WIDTH - 2 * MARGIN) / Math.max(1, p - 1);
  return Array.from({ length: p }, (_, rank) => ({ x: MARGIN + rank * step, y: heightOf("line") / 2 }));
}

// The tree that the messages make, if they make one; otherwise the binomial tree of rank 0.
function tree(p, links) {
  const parent = parents(p, links) || Array.from({ length: p }, (_, rank) => (rank ? rank & (rank - 1) : -1));
  const children = parent.map((_, rank) => parent.flatMap((one, other) => (one === rank ? [other] : [])));
  const deep = [], wide = [];
  let leaves = 0;
  const place = (rank, depth) => {
    deep[rank] = depth;
    for (const child of children[rank]) place(child, depth + 1);
    const below = children[rank].map((child) => wide[child]);
    wide[rank] = below.length ? (below[0] + below.at(-1)) / 2 : leaves++;
  };
  place(parent.indexOf(-1), 0);
  const step = (WIDTH - 2 * MARGIN) / Math.max(1, leaves - 1), down = (HEIGHT - 2 * MARGIN) / Math.max(1, ...deep);
  const x = (rank) => (leaves > 1 ? MARGIN + wide[rank] * step : WIDTH / 2);
  return parent.map((_, rank) => ({ x: x(rank), y: MARGIN + deep[rank] * down }));
}

// The parent of each rank if the links make one tree; its root is the rank with the shortest way to all.
function parents(p, links) {
  const near = Array.from({ length: p }, () => new Set());
  for (const [a, b] of links) {
    near[a].add(b);
    near[b].add(a);
  }
  if (near.reduce((sum, peers) => sum + peers.size, 0) !== 2 * (p - 1)) return null;
  const from = (root) => {
    const parent = Array(p).fill(undefined), depth = [];
    parent[root] = -1;
    depth[root] = 0;
    const queue = [root];
    for (const rank of queue)
      for (const peer of [...near[rank]].sort((a, b) => a - b))
        if (parent[peer] === undefined) {
          parent[peer] = rank;
          depth[peer] = depth[rank] + 1;
          queue.push(peer);
        }
    return queue.length === p ? { parent, depth: Math.max(...depth) } : null;
  };
  const trees = near.map((_, root) => from(root));
  if (trees.includes(null)) return null;
  return trees.reduce((best, one) => (one.depth < best.depth ? one : best)).parent;
}

// Bits 0 and 1 make a square, bit 2 a second one behind it, bit 3 a cube to the right.
function hypercube(p) {
  const bits = Math.max(1, Math.ceil(Math.log2(p)));
  const shifts = bits === 4 ? [[140, 0], [0, 170], [66, 56], [270, 30]]
    : bits === 3 ? [[240, 0], [0, 210], [110, 80]] : [[260, 0], [0, 220]];
  const raw = Array.from({ length: p }, (_, rank) => shifts.reduce((at, [x, y], bit) =>
    (rank >> bit) & 1 ? { x: at.x + x, y: at.y + y } : at, { x: 0, y: 0 }));
  const [w, h] = ["x", "y"].map((side) => Math.max(...raw.map((at) => at[side])));
  return raw.map(({ x, y }) => ({ x: x + (WIDTH - w) / 2, y: y + (HEIGHT - h) / 2 }));
}
