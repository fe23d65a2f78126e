/** How the page looks: light or dark as the reader's system is, one column on a phone. */
export const pageStyle = `
:root{color-scheme:light dark;--plane:#f6f6f3;--surface:#fdfdfb;--ink:#16160f;--muted:#605f58;--grid:#e3e2dc;--line:#b9b8b0;--one:#2a78d6;--two:#c4541b}
@media (prefers-color-scheme:dark){:root{--plane:#10100e;--surface:#1b1b19;--ink:#f3f2ec;--muted:#b3b2a8;--grid:#2d2d2a;--line:#55544e;--one:#5b9df0;--two:#f0874f}}
*{box-sizing:border-box}
body{margin:0;background:var(--plane);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:16px}
h1{font-size:22px;margin:4px 0 12px;overflow-wrap:anywhere}
h2{font-size:15px;margin:0}
p{margin:0;color:var(--muted);font-size:13px;min-height:1.45em}
.tiles{display:flex;flex-wrap:wrap;gap:8px;margin:0 0 12px}
.tiles div{flex:1 1 130px;background:var(--surface);border:1px solid var(--grid);border-radius:8px;padding:8px 12px}
dt{color:var(--muted);font-size:12px}
dd{margin:0;font-size:19px;white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:12px;margin-bottom:12px}
.wide{display:grid;grid-template-columns:minmax(0,1fr);gap:12px;margin-bottom:12px}
figure{margin:0;background:var(--surface);border:1px solid var(--grid);border-radius:8px;padding:12px;min-width:0}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--muted);font:11px system-ui,sans-serif}
.ruler{stroke:var(--grid)}
.axis{stroke:var(--line)}
.one{stroke:var(--one)}.two{stroke:var(--two)}
.fill-one{fill:var(--one)}.fill-two{fill:var(--two)}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}
.band{opacity:.18;stroke:none}
.hover{fill:var(--ink);fill-opacity:0}
.hover:hover{fill-opacity:.12}
.frame{fill:none;stroke:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:13px}
.legend i{display:inline-block;width:14px;height:3px;vertical-align:middle;margin-right:6px}
.legend .one{background:var(--one)}.legend .two{background:var(--two)}
.latent{display:grid;grid-template-columns:minmax(80px,25%) minmax(0,1fr);gap:12px;align-items:center;margin-top:10px}
img{image-rendering:pixelated;max-width:100%}
.latent img{width:100%}
img.grid{width:100%;margin-top:8px}
details{background:var(--surface);border:1px solid var(--grid);border-radius:8px;padding:10px 12px;margin-bottom:12px}
summary{cursor:pointer}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin-top:8px;font-variant-numeric:tabular-nums}
td,th{padding:3px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid);font-weight:normal}
thead th{color:var(--muted)}
pre{font-size:13px;overflow-x:auto}
`;
