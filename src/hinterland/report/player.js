(() => {
// A frame is flat: style, x, y, style, x, y, ...; a style holds all that shapes share.
const script = document.currentScript, figure = script.closest('.replay');
const data = JSON.parse(figure.querySelector('.replay-data').textContent);
const one = name => figure.querySelector(name);
const canvas = one('canvas'), context = canvas.getContext('2d'), slider = one('input');
const play = one('.play'), output = one('output'), speed = one('select');
const last = data.frames.length - 1;
let at = 0, playing = false, timer = 0;
slider.max = last;

function draw(flat, unit) {
  for (let i = 0; i < flat.length; i += 3) {
    const style = data.styles[flat[i]], x = flat[i + 1] * unit, y = flat[i + 2] * unit;
    context.globalAlpha = style.opacity ?? 1;
    context.fillStyle = style.fill;
    if (style.kind === 'rect') context.fillRect(x, y, style.w * unit, style.h * unit);
    else if (style.kind === 'circle') {
      context.beginPath();
      context.arc(x, y, style.r * unit, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.font = 0.8 * unit + 'px system-ui, sans-serif';
      context.textBaseline = 'top';
      context.fillText(style.text, x, y);
    }
  }
  context.globalAlpha = 1;
}

function show() {
  const ratio = devicePixelRatio || 1, { width, height } = data;
  const wide = Math.min(figure.clientWidth, 560, Math.max(innerHeight, 400) * 0.8 * width / height);
  canvas.style.width = wide + 'px';
  canvas.style.height = wide * height / width + 'px';
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(wide * height / width * ratio);
  const unit = canvas.width / width;
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  draw(data.scene, unit);
  draw(data.frames[at], unit);
  slider.value = at;
  const info = data.info[at] || {};
  const words = ['step ' + (info.step ?? at)];
  if (typeof info.return === 'number') words.push('return so far ' + info.return.toFixed(2));
  if (info.text) words.push(info.text);
  output.textContent = words.join(', ');
  slider.setAttribute('aria-valuetext', words.join(', '));
  play.textContent = playing ? 'Pause' : 'Play';
}

function pause() { playing = false; clearTimeout(timer); show(); }
function go(to) { at = Math.max(0, Math.min(last, to)); pause(); }
function tick() {
  if (at === last) { pause(); return; }
  at += 1;
  show();
  timer = setTimeout(tick, 1000 * data.seconds_per_frame / speed.value);
}
function start() {
  if (at === last) at = 0;
  playing = true;
  show();
  timer = setTimeout(tick, 1000 * data.seconds_per_frame / speed.value);
}
function toggle() { if (playing) pause(); else start(); }

play.onclick = toggle;
one('.back').onclick = () => go(at - 1);
one('.forth').onclick = () => go(at + 1);
slider.oninput = () => go(+slider.value);
figure.onkeydown = event => {
  const key = event.key, on = event.target;
  if (on === speed || event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === ' ' && on.tagName !== 'BUTTON') toggle();
  else if (on === slider) return;
  else if (key === 'ArrowRight') go(at + 1);
  else if (key === 'ArrowLeft') go(at - 1);
  else if (key === 'Home') go(0);
  else if (key === 'End') go(last);
  else return;
  event.preventDefault();
};
new ResizeObserver(show).observe(figure);
if (matchMedia('(prefers-reduced-motion: reduce)').matches) show(); else start();
})();
