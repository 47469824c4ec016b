use std::ops::Range;

use super::{
    Chart, ChartLine, ChartOptions, TerminalSize,
    canvas::{Canvas, Colour, FINE, Shape},
    palette::Palette,
    picture, png,
};
use crate::{Fetched, Unit, pairs};

const RANGE: Range<i64> = 0..6_000;

fn fetched(sources: &[&str], rows: &[&[f64]]) -> Fetched {
    Fetched {
        start: 60,
        step: 60,
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        values: rows.concat(),
    }
}

fn availability(rows: &[&[f64]]) -> Chart {
    Chart::of_pair(
        &pairs("ping")[0],
        fetched(&["response_time", "is_up"], rows),
        6_000,
    )
}

fn options() -> ChartOptions {
    ChartOptions::new(960, 360, RANGE)
}

/// The lines of data: those in the colour of a trace and as thick as one.
fn strokes(canvas: &Canvas, line: usize) -> Vec<Vec<(i32, i32)>> {
    let colour = Palette::of(false).lines[line];
    let is_ours = |found: &Colour| found.rgb == (colour.0, colour.1, colour.2);
    let strokes = canvas.shapes.iter().filter_map(|shape| match shape {
        Shape::Line {
            points,
            width,
            colour,
        } if is_ours(colour) && *width > f64::from(FINE) * 1.4 => Some(points.clone()),
        _ => None,
    });
    strokes.collect()
}

fn texts(canvas: &Canvas) -> Vec<String> {
    let texts = canvas.shapes.iter().filter_map(|shape| match shape {
        Shape::Text { text, .. } => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_gap_stays_a_gap() {
    let known: &[f64] = &[5.0, 100.0];
    let unknown: &[f64] = &[f64::NAN, f64::NAN];
    let mut rows = vec![known; 100];
    rows[40..50].fill(unknown);
    let canvas = picture::draw(&availability(&rows), &options()).canvas;
    for line in [0, 1] {
        let pieces = strokes(&canvas, line);
        assert_eq!(pieces.len(), 2, "{pieces:?}");
        // Nothing is drawn in the tenth of the width between them.
        let (end, start) = (pieces[0].last().expect("it has points").0, pieces[1][0].0);
        let width = pieces[1].last().expect("it has points").0 - pieces[0][0].0;
        assert!((start - end - width / 10).abs() <= 2, "{end} {start} {width}");
    }
}

#[test]
fn a_single_known_value_is_seen() {
    let mut rows = vec![[f64::NAN, f64::NAN]; 100];
    rows[50] = [5.0, 100.0];
    let rows: Vec<&[f64]> = rows.iter().map(<[f64; 2]>::as_slice).collect();
    let canvas = picture::draw(&availability(&rows), &options()).canvas;
    let pieces = strokes(&canvas, 0);
    assert_eq!(pieces.len(), 1);
    assert!(pieces[0].last().expect("it has points").0 > pieces[0][0].0);
}

#[test]
fn each_line_is_drawn_on_its_own_axis() {
    // Both lie in the middle of their axes: 0 to 20 ms, and 0 to 100 %.
    let rows: Vec<&[f64]> = vec![&[10.0, 50.0]; 100];
    let mut chart = availability(&rows);
    chart.max = Some(fetched(
        &["response_time", "is_up"],
        &vec![[19.0, 100.0].as_slice(); 100],
    ));
    let canvas = picture::draw(&chart, &options()).canvas;
    let height = |line: usize| strokes(&canvas, line)[0][0].1;
    assert!((height(0) - height(1)).abs() <= 2, "{} {}", height(0), height(1));
    let texts = texts(&canvas);
    for name in ["Response Time (ms)", "Availability (%)", "20", "100"] {
        assert!(texts.iter().any(|text| text == name), "{name} {texts:?}");
    }
}

#[test]
fn lines_of_one_unit_share_an_axis() {
    let pair = &pairs("ports")[0];
    let rows: Vec<&[f64]> = vec![&[800e6, 200e6]; 100];
    let chart = Chart::of_pair(pair, fetched(&["total_bits_in", "total_bits_out"], &rows), 6_000);
    let canvas = picture::draw(&chart, &options()).canvas;
    let height = |line: usize| strokes(&canvas, line)[0][0].1;
    assert!(height(1) - height(0) > 50 * FINE);
    assert!(texts(&canvas).iter().any(|text| text == "bit/s"));
}

#[test]
fn a_bandwidth_is_in_true_bits() {
    let pair = &pairs("ports")[0];
    let rows: Vec<&[f64]> = vec![&[941e6, 12.5e6]; 100];
    let chart = Chart::of_pair(pair, fetched(&["total_bits_in", "total_bits_out"], &rows), 6_000);
    let svg = chart.svg(&options());
    let expected = "Total Inbound Traffic: maximum 941 Mbit/s, average 941 Mbit/s, current 941 Mbit/s. \
                    Total Outbound Traffic: maximum 12.5 Mbit/s, average 12.5 Mbit/s, current 12.5 Mbit/s.";
    assert!(
        svg.contains(expected),
        "{}",
        svg.split("<defs>").next().expect("it begins")
    );
}

#[test]
fn an_outage_is_shaded_where_it_was() {
    let rows: Vec<&[f64]> = vec![&[5.0, 100.0]; 100];
    let mut chart = availability(&rows);
    chart.outages = vec![1_500..3_000, 8_000..9_000];
    let canvas = picture::draw(&chart, &options()).canvas;
    let outage = Palette::of(false).outage;
    let areas: Vec<&Vec<(i32, i32)>> = canvas
        .shapes
        .iter()
        .filter_map(|shape| match shape {
            Shape::Area { points, colour } if colour.rgb == (outage.0, outage.1, outage.2) => Some(points),
            _ => None,
        })
        .collect();
    // The area, the bar below it, and the square in the legend.
    assert_eq!(areas.len(), 3);
    let line = &strokes(&canvas, 0)[0];
    let (left, right) = (line[0].0, line.last().expect("it has points").0);
    let place = |share: f64| f64::from(left) + share * f64::from(right - left);
    let edge = |points: &[(i32, i32)], last: bool| {
        let xs = points.iter().map(|point| point.0);
        f64::from(if last { xs.max() } else { xs.min() }.expect("it has corners"))
    };
    assert!((edge(areas[0], false) - place(0.25)).abs() < 4.0);
    assert!((edge(areas[0], true) - place(0.5)).abs() < 4.0);
    assert!(texts(&canvas).iter().any(|text| text == "1 outage, 25 min"));
}

#[test]
fn a_percentile_is_a_line_of_dashes_and_a_figure() {
    let values: Vec<[f64; 2]> = (1..=100).map(|value| [f64::from(value), 100.0]).collect();
    let rows: Vec<&[f64]> = values.iter().map(<[f64; 2]>::as_slice).collect();
    let mut options = options();
    let plain = picture::draw(&availability(&rows), &options).canvas;
    options.percentile = Some(95.0);
    let canvas = picture::draw(&availability(&rows), &options).canvas;
    assert!(canvas.shapes.len() > plain.shapes.len() + 50);
    let texts = texts(&canvas);
    for text in ["95th percentile", "95 ms"] {
        assert!(texts.iter().any(|found| found == text), "{text} {texts:?}");
    }
}

#[test]
fn a_name_cannot_leave_its_place() {
    let rows: Vec<&[f64]> = vec![&[5.0, 100.0]; 100];
    let mut options = options();
    options.title = "</title><script>alert(\"1\")</script> & 'x'\u{0}\u{1b}[2J\u{202e}日本".to_owned();
    let mut chart = availability(&rows);
    chart.lines[0].label = "<b>".to_owned();
    let svg = chart.svg(&options);
    assert!(
        !svg.contains("<script") && !svg.contains("<b>") && !svg.contains('\u{1b}') && !svg.contains('\u{0}')
    );
    assert!(svg.contains("<title>&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;[2J日本</title>"));
    // Letters for which the font has no glyph are left to the viewer.
    assert!(svg.contains(">日本</text>"));
    let size = TerminalSize {
        columns: 80,
        rows: 24,
        colour: false,
    };
    let text = chart.terminal(&options, size);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
}

#[test]
fn a_picture_asks_for_nothing_from_outside() {
    let rows: Vec<&[f64]> = vec![&[5.0, 100.0]; 100];
    let mut options = options();
    options.title = "Büro-Switch".to_owned();
    let svg = availability(&rows).svg(&options);
    assert!(!svg.contains("<text") && !svg.contains("font-family") && !svg.contains("<image"));
    let defined = |id: &str| svg.contains(&format!("<path id=\"{id}\""));
    let used: Vec<&str> = svg
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(used.len() > 50);
    assert!(used.iter().all(|id| defined(id)));
}

#[test]
fn a_png_has_the_size_that_was_asked_for() {
    let rows: Vec<&[f64]> = vec![&[5.0, 100.0]; 100];
    for (width, height, dark) in [(960, 360, false), (3840, 2160, true), (1, 1, false)] {
        let mut options = ChartOptions::new(width, height, RANGE);
        options.dark = dark;
        let (size, pixels) = png::decode(&availability(&rows).png(&options));
        assert_eq!(size, (width.max(100), height.max(100)));
        let background = Palette::of(dark).background;
        assert_eq!(pixels[0], [background.0, background.1, background.2]);
    }
}

#[test]
fn both_kinds_of_picture_show_the_same_line() {
    // A line across the picture: in each column of pixels it is where the shapes have it.
    let values: Vec<[f64; 2]> = (0..100).map(|value| [f64::from(value), f64::NAN]).collect();
    let rows: Vec<&[f64]> = values.iter().map(<[f64; 2]>::as_slice).collect();
    let chart = availability(&rows);
    let canvas = picture::draw(&chart, &options()).canvas;
    let line = strokes(&canvas, 0)[0].clone();
    let ((width, _), pixels) = png::decode(&chart.png(&options()));
    let colour = Palette::of(false).lines[0];
    for (x, y) in &line[1..line.len() - 1] {
        let place = |fine: i32| usize::try_from(fine / FINE).expect("it is in the picture");
        let row = usize::try_from(width).expect("it is in memory");
        let [red, _, blue] = pixels[place(*y) * row + place(*x)];
        assert!(
            red.abs_diff(colour.0) < 100 && blue.abs_diff(colour.2) < 100,
            "{x} {y} {red} {blue}"
        );
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges)]
fn no_values_sizes_or_times_are_too_odd() {
    let nothing = fetched(&[], &[]);
    let odd: &[f64] = &[
        f64::INFINITY,
        -1e300,
        1e300,
        0.0,
        f64::MIN_POSITIVE,
        f64::NAN,
        -5.0,
    ];
    let mut charts = vec![Chart::of_sources(nothing, 0)];
    for unit in [Unit::Number, Unit::Bytes, Unit::Percent, Unit::Milliseconds] {
        let rows: Vec<[f64; 1]> = odd.iter().map(|value| [*value]).collect();
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 1]>::as_slice).collect();
        let mut chart = Chart::of_sources(fetched(&["x"], &rows), 400);
        chart.lines[0].unit = unit;
        chart.lines.push(ChartLine::of_source("absent_ms"));
        chart.outages.extend([i64::MIN..i64::MAX, 5..5, 9..3]);
        charts.push(chart);
    }
    let mut zero = charts[1].clone();
    zero.average.step = 0;
    charts.push(zero);
    for chart in &charts {
        for range in [
            0..400,
            0..0,
            i64::MIN..i64::MAX,
            400..0,
            -1_000_000..1_000_000_000,
        ] {
            for (width, height, scale) in [
                (0, 0, 1.0),
                (100, 2_000, 0.0),
                (1_000, 100, 100.0),
                (300, 120, f64::NAN),
            ] {
                let mut options = ChartOptions::new(width, height, range.clone());
                options.scale = scale;
                options.percentile = Some(95.0);
                assert!(chart.svg(&options).ends_with("</svg>\n"));
                let size = TerminalSize {
                    columns: 0,
                    rows: 0,
                    colour: true,
                };
                assert!(!chart.terminal(&options, size).is_empty());
            }
            let options = ChartOptions::new(300, 120, range);
            assert!(chart.png(&options).starts_with(b"\x89PNG"));
        }
    }
}

#[test]
fn a_terminal_is_not_too_narrow_for_what_is_written() {
    let rows: Vec<&[f64]> = vec![&[5.0, 100.0]; 100];
    let mut options = options();
    options.title = "a monitor with a name that does not fit".to_owned();
    for columns in [24, 40, 80, 200] {
        let size = TerminalSize {
            columns,
            rows: 24,
            colour: false,
        };
        let text = availability(&rows).terminal(&options, size);
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
        assert!(text.lines().count() <= 24, "{text}");
    }
}

#[test]
fn a_terminal_shows_title_range_lines_outages_and_figures() {
    let values: Vec<[f64; 2]> = (0..100)
        .map(|row| match row {
            40..50 => [f64::NAN, 0.0],
            70..75 => [f64::NAN, f64::NAN],
            _ => [f64::from(row % 25) * 2.0, 100.0],
        })
        .collect();
    let rows: Vec<&[f64]> = values.iter().map(<[f64; 2]>::as_slice).collect();
    let mut chart = availability(&rows);
    chart.outages.push(2_400..3_000);
    let mut options = options();
    options.title = "web - Availability".to_owned();
    options.percentile = Some(95.0);
    let size = TerminalSize {
        columns: 80,
        rows: 20,
        colour: false,
    };
    insta::assert_snapshot!(chart.terminal(&options, size), @r#"
    web - Availability
    1 Jan 1970 00:00 to 1 Jan 1970 01:40 UTC
    Response Time (ms)
     50 ┤               ⢀⣠⠤⢶                                                     ⣠⠤⠖
        │            ⣠⠴⠒⠋  ⢸                              ⢀⡤⠖⠂               ⣀⡴⠒⠋⠁
        │       ⢀⣀⡴⠚⠉⠁     ⢸       ⣀⣠⠴⠋               ⣀⣠⠖⠋⠉             ⢀⣀⡤⠞⠉⠁
        │   ⢀⣠⠤⠞⠉          ⢸   ⢀⡤⠴⠚⠁              ⣀⡤⠴⠋⠁              ⣠⠤⠖⠋
      0 ┤⣠⠴⠒⠋              ⢸⣠⠖⠒⠋              ⢀⡤⠖⠚⠁              ⣀⡴⠒⠋⠁
    Availability (%)
    100 ┤⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⡇      ⢸⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠁   ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉
        │                              ⡇      ⢸
     50 ┤                              ⡇      ⢸
        │                              ⡇      ⢸
      0 ┤                              ⣇⣀⣀⣀⣀⣀⣀⣸
        └┴──────────┴──────────┴───────xxxxxxxx───────┴──────────┴──────────┴───────
         1 Jan    00:15      00:30      00:45       01:00      01:15      01:30
    ■ Response Time (ms)  max 48 ms  avg 21.1 ms  now 48 ms  95th 44 ms
    ■ Availability (%)    max 100 %  avg 89.5 %   now 100 %  95th 100 %
    x 1 outage, 10 min
    "#);
}
