// Label maps in the browser: reads them, finds their contours, and paints them on a canvas.

window.esg.painting = (() => {
  // → {ids: Uint16Array, one id per pixel, row by row, 0 = none; edges: Uint8Array, 1 on the contours; width; height}
  async function readMap(address, [width, height]) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`The label map did not arrive (${answer.status}).`);
    const plain = answer.body.pipeThrough(new DecompressionStream("gzip"));
    const ids = new Uint16Array(await new Response(plain).arrayBuffer());
    const reach = Math.max(1, Math.round(Math.max(width, height) / 700));
    return { ids, edges: contours(ids, width, height, reach), width, height };
  }

  // Marks the pixels of an entity that lie within `reach` of another label, to the right or below, and their opposites.
  function contours(ids, width, height, reach) {
    const found = new Uint8Array(ids.length);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (x + reach < width && ids[i] !== ids[i + reach]) found[i] = found[i + reach] = 1;
        if (y + reach < height && ids[i] !== ids[i + reach * width]) found[i] = found[i + reach * width] = 1;
      }
    }
    return found;
  }

  const rgba = ([red, green, blue], alpha) =>
    ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;

  // For each id, one colour for its inside and one for its contour (RGBA in one little-endian number).
  function paints({ entities, shown, selected, pointed }, opacity) {
    const inside = new Uint32Array(entities.length + 1), border = new Uint32Array(entities.length + 1);
    entities.slice(0, shown).forEach(({ colour }, index) => {
      const id = index + 1, chosen = selected.has(id), under = pointed.has(id);
      const dimmed = selected.size && !chosen;
      const alpha = under ? Math.min(1, opacity + 0.25) : dimmed ? opacity * 0.4 : opacity;
      const pale = colour.map((part) => Math.round(0.4 * part + 0.6 * 255));
      inside[id] = rgba(colour, alpha);
      border[id] = chosen || under ? rgba([255, 255, 255], 1) : rgba(pale, opacity && (dimmed ? 0.35 : 0.85));
    });
    return { inside, border };
  }

  function paint(canvas, map, { inside, border }) {
    canvas.width = map.width;
    canvas.height = map.height;
    const image = new ImageData(map.width, map.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = (map.edges[i] ? border : inside)[map.ids[i]];
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // The mask of some entities after strokes of the brush, applied one after another: 1 for every pixel inside.
  function maskOf(map, ids, strokes) {
    const mask = Uint8Array.from(map.ids, (id) => ids.has(id));
    if (!strokes.length) return mask;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [map.width, map.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    for (const one of strokes) {
      context.clearRect(0, 0, map.width, map.height);
      stroke(canvas, one, "#000");
      const { data } = context.getImageData(0, 0, map.width, map.height);
      for (let i = 0; i < mask.length; i++) if (data[4 * i + 3] > 127) mask[i] = one.add;
    }
    return mask;
  }

  // The smallest box around a mask as [left, top, right, bottom], ends included; null if the mask is empty.
  function boxOf(mask, map) {
    let [left, top, right, bottom] = [map.width, map.height, -1, -1];
    for (let y = 0, i = 0; y < map.height; y++) {
      for (let x = 0; x < map.width; x++, i++) {
        if (!mask[i]) continue;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        bottom = y;
      }
    }
    return right < 0 ? null : [left, top, right, bottom];
  }

  // The ids that have at least half of their pixels in a box of fractions: left, top, right, bottom.
  function idsIn(map, [left, top, right, bottom], shown) {
    const all = new Uint32Array(65536), inside = new Uint32Array(65536);
    for (let y = 0, i = 0; y < map.height; y++) {
      const row = (y + 0.5) / map.height, within = row >= top && row < bottom;
      const from = Math.ceil(left * map.width - 0.5), to = Math.ceil(right * map.width - 0.5);
      for (let x = 0; x < map.width; x++, i++) {
        all[map.ids[i]]++;
        if (within && x >= from && x < to) inside[map.ids[i]]++;
      }
    }
    return Array.from({ length: shown }, (_, index) => index + 1).filter((id) => all[id] && 2 * inside[id] >= all[id]);
  }

  // Draws a stroke of the brush; its radius is a fraction of the width, its points are fractions of width and height.
  function stroke(canvas, { add, radius, points }, colour = add ? "rgba(255, 45, 85, 0.6)" : "rgba(255, 255, 255, 0.7)") {
    const context = canvas.getContext("2d"), at = ([x, y]) => [x * canvas.width, y * canvas.height];
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * radius * canvas.width;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(...at(points[0]));
    for (const point of [points[0], ...points]) context.lineTo(...at(point));
    context.stroke();
  }

  // Draws the part of a photo that some entities, with strokes of the brush, cover; the rest is transparent.
  function cutOut(canvas, photo, map, ids, strokes) {
    const mask = maskOf(map, ids, strokes), box = boxOf(mask, map);
    canvas.width = box ? box[2] - box[0] + 1 : 1;
    canvas.height = box ? box[3] - box[1] + 1 : 1;
    if (!box) return;
    const [left, top] = box, { width, height } = canvas, context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(photo, left, top, width, height, 0, 0, width, height);
    const image = context.getImageData(0, 0, width, height);
    for (let y = 0, i = 3; y < height; y++) {
      for (let x = 0; x < width; x++, i += 4) {
        if (!mask[(top + y) * map.width + left + x]) image.data[i] = 0;
      }
    }
    context.putImageData(image, 0, 0);
  }

  return { readMap, paints, paint, cutOut, idsIn, stroke };
})();
