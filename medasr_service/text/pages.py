"""The frame of a page that is a file: all in one, light or dark as the reader's system, fit for paper."""

import html
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --paper: #ffffff; --dim: #59636e; --line: #d1d9e0; --shade: #f6f8fa;
  --good: #d2f4d9; --good-ink: #0a5c21; --bad: #ffe0dd; --bad-ink: #9a1510;
  --doubt: #fff1c2; --doubt-ink: #6b4b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ed; --paper: #16191d; --dim: #9aa4af; --line: #3a424b; --shade: #1e2328;
    --good: #12361d; --good-ink: #8ae3a2; --bad: #4a1815; --bad-ink: #ffaaa4;
    --doubt: #423410; --doubt-ink: #ffd968;
  }
}
* { box-sizing: border-box; }
body {
  margin: 2rem auto; padding: 0 1rem; max-width: 62rem;
  font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; }
.dim { color: var(--dim); }
$style
@media print {
  :root {
    color-scheme: light;
    --ink: #000; --paper: #fff; --dim: #444; --line: #999; --shade: #fff;
    --good: #fff; --good-ink: #000; --bad: #fff; --bad-ink: #000;
    --doubt: #fff; --doubt-ink: #000;
  }
  body { margin: 0; max-width: none; font-size: 11pt; }
}
</style>
</head>
<body>
$body
</body>
</html>
""")


def page(title: str, body: str, *, style: str = "") -> str:
    """``title`` is plain text; ``body`` and ``style`` are HTML and CSS, with everything foreign escaped."""
    return _PAGE.substitute(title=html.escape(title), body=body, style=style)
