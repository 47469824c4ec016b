//! The style sheets, within the pages: a page needs no other file.

/// Of the page of all monitors: eight columns on a wide screen.
pub(super) const INDEX: &str = "\
body { font-family: Arial, sans-serif; margin: 20px; background: #f5f5f5; position: relative; }
h1 { color: #333; margin-bottom: 10px; overflow-wrap: anywhere; }
h2 { color: #555; margin-top: 40px; margin-bottom: 20px; border-bottom: 2px solid #ddd; padding-bottom: 10px; }
a { color: inherit; text-decoration: none; }
a:hover { text-decoration: underline; }
.header-clock { position: absolute; top: 0; right: 0; text-align: right; }
.header-clock .main { font-size: 36px; font-weight: bold; color: #333; }
.header-clock .world { font-size: 20px; color: #767676; }
.grid { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: 20px; }
.monitor, .network-cell { background: #fff; border-radius: 5px; box-shadow: 0 2px 4px rgba(0, 0, 0, 0.1); }
.monitor { padding: 15px; }
.monitor h3 { margin: 0 0 10px; font-size: 18px; color: #555; overflow-wrap: anywhere; }
.monitor p { margin: 6px 0 0; font-size: 12px; color: #666; overflow-wrap: anywhere; }
.monitor img { max-width: 100%; }
.network-host-label { display: inline-block; font-size: 16px; font-weight: bold; color: #333; padding: 6px 10px;
  border-radius: 4px; overflow-wrap: anywhere; }
.network-host-label span { font-weight: normal; font-size: 13px; }
.network-row, .device-row { display: grid; gap: 20px; }
.network-row { margin-bottom: 20px; }
.device-row { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.device-row.alone { grid-template-columns: minmax(0, 1fr); width: calc(50% - 10px); }
.network-cell { padding: 8px; }
.network-cell h4 { margin: 0 0 6px; font-size: 11px; color: #666; text-align: center; }
.network-cell img { display: block; margin: 0 auto; max-width: 100%; max-height: 80px; }
.monitor.down, .network-cell.down, .network-host-label.down { background: #ffe8e8; }
.network-host-label.down, .monitor .down, .audit .down { color: #cc0000; }
.monitor.unknown, .network-cell.unknown, .network-host-label.unknown { background: #fff4d6; }
.network-host-label.unknown, .monitor .unknown { color: #7a5200; }
.monitor span.down, .monitor span.unknown { font-weight: bold; }
.nothing-configured { color: #767676; font-style: italic; }
.audit { margin-top: 40px; text-align: center; font-weight: bold; font-size: 14px; color: #333; overflow-wrap: anywhere; }
.audit .up { color: #767676; }
.footer { margin-top: 40px; text-align: center; font-size: 12px; color: #767676; }
@media (max-width: 2400px) { .header-clock .world { font-size: 14px; } }
@media (max-width: 1400px) {
  .header-clock { position: static; text-align: left; }
  .grid { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .network-row { grid-template-columns: repeat(var(--cols-narrow, 2), minmax(0, 1fr)) !important; }
  .device-row, .device-row.alone { grid-template-columns: minmax(0, 1fr); gap: 0; width: auto; }
}
@media (max-width: 768px) {
  .grid, .network-row { grid-template-columns: minmax(0, 1fr) !important; }
}
";

/// Of the page of all monitors, where the pictures are apmon's own: as wide as their cells.
pub(super) const DRAWN: &str = "\
.monitor img, .network-cell img { width: 100%; max-height: none; }
";

/// Of the page of one monitor.
pub(super) const DETAIL: &str = "\
body { font-family: Arial, sans-serif; margin: 20px; background: #f5f5f5; color: #333; }
.back { margin-bottom: 10px; font-size: 13px; }
a { color: #2f5aa8; text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { margin-bottom: 10px; overflow-wrap: anywhere; }
h2 { color: #555; margin-top: 30px; border-bottom: 2px solid #ddd; padding-bottom: 8px; }
h3 { color: #555; font-size: 15px; margin: 20px 0 8px; }
.state { background: #fff; border-left: 6px solid #2a7a2a; border-radius: 4px; padding: 10px 14px; margin-bottom: 16px;
  overflow-wrap: anywhere; }
.state.down { background: #ffe8e8; border-color: #cc0000; }
.state.unknown { background: #fff4d6; border-color: #b07800; }
.state.pending { border-color: #888; }
.state p { margin: 4px 0 0; font-size: 13px; color: #555; }
.sysinfo { display: flex; flex-wrap: wrap; gap: 8px 32px; background: #fff; border-radius: 4px; padding: 10px 14px; }
.sysinfo div { overflow-wrap: anywhere; }
.sysinfo b { display: block; font-size: 11px; color: #666; }
.tables { max-width: 1000px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; min-width: min-content; background: #fff; }
th { background: #4a4a4a; color: #fff; font-size: 13px; text-align: left; padding: 6px 10px; white-space: nowrap; }
td { font-size: 13px; padding: 5px 10px; border-bottom: 1px solid #eee; white-space: nowrap; }
tr:hover td { background: #f9f9f9; }
.mono { font-family: monospace; font-size: 12px; }
.sub { color: #767676; font-size: 12px; }
.proto { background: #5a7ab8; color: #fff; font-size: 11px; border-radius: 3px; padding: 1px 5px; }
.oper-up { color: #2a7a2a; }
.oper-down { color: #cc0000; }
.oper-other { color: #767676; }
.empty { color: #767676; font-style: italic; text-align: center; }
.charts { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 16px; }
.charts figure { margin: 0; background: #fff; border-radius: 5px; padding: 8px; }
.charts figcaption { font-size: 12px; color: #666; margin-bottom: 6px; }
.charts img { width: 100%; }
.footer { margin-top: 30px; text-align: center; font-size: 12px; color: #767676; }
@media (max-width: 1400px) { .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (max-width: 768px) { .charts { grid-template-columns: minmax(0, 1fr); } }
";
