//! Draws all pairs, so that a change to the charts can be seen:
//! `cargo run -p apmon-rrd --example pictures -- DIRECTORY`

use std::{env, fs, io, path::Path};

use apmon_rrd::{Chart, ChartOptions, Fetched, Pair, TerminalSize, pairs};

const NOW: i64 = 1_796_126_400;
const DAY: i64 = 86_400;

fn main() -> io::Result<()> {
    let directory = env::args().nth(1).ok_or(io::Error::other("name a directory"))?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    for pair in ["ping", "ports", "host"].into_iter().flat_map(pairs) {
        let name = if pair.suffix.is_empty() {
            "availability"
        } else {
            &pair.suffix[1..]
        };
        for (range, span, step) in [
            ("day", DAY, 60),
            ("week", 7 * DAY, 300),
            ("year", 365 * DAY, 3_600),
        ] {
            let chart = chart(pair, span, step);
            let all = [("1x", 960, 360), ("small", 500, 200), ("4k", 3840, 2160)];
            // Without optimisation, a large picture takes seconds.
            let sizes = if range == "day" && pair.suffix.len() < 11 {
                &all[..]
            } else {
                &all[..2]
            };
            for &(size, width, height) in sizes {
                for dark in [false, true] {
                    let mut options = ChartOptions::new(width, height, NOW - span..NOW);
                    options.title = format!("Büro-Switch <1> & \"core\" - {}", pair.title);
                    options.dark = dark;
                    options.percentile = (pair.suffix == "-bandwidth").then_some(95.0);
                    let theme = if dark { "dark" } else { "light" };
                    let file = directory.join(format!("{name}-{range}-{size}-{theme}"));
                    fs::write(file.with_extension("svg"), chart.svg(&options))?;
                    fs::write(file.with_extension("png"), chart.png(&options))?;
                    for colour in [false, true] {
                        let size = TerminalSize {
                            columns: 100,
                            rows: 30,
                            colour,
                        };
                        let ending = if colour { "ansi" } else { "txt" };
                        fs::write(file.with_extension(ending), chart.terminal(&options, size))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Values as a switch or a server has them: a rhythm of days, noise, peaks, and a gap.
fn chart(pair: &Pair, span: i64, step: i64) -> Chart {
    let sources: Vec<String> = pair.drawn().iter().map(|side| side.source.to_owned()).collect();
    let outage = NOW - span / 3..NOW - span / 3 + span / 40;
    let gap = NOW - span / 5..NOW - span / 5 + span / 25;
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(noise >> 8) / f64::from(1 << 24)
    };
    let (mut average, mut min, mut max) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = NOW - span + step;
    while at <= NOW {
        for (place, source) in sources.iter().enumerate() {
            let size = size_of(source) * if place == 0 { 1.0 } else { 0.45 };
            #[expect(clippy::cast_precision_loss)]
            let hour = (at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
            let level = 0.55 - 0.4 * (hour + place as f64).cos();
            let peak = if random() > 0.985 { 1.6 } else { 1.0 };
            let value = size * level * (0.8 + 0.4 * random()) * peak;
            let down = outage.contains(&at);
            let value = match source.as_str() {
                "is_up" if down => 0.0,
                "is_up" => 100.0,
                "ports_up_count" => (value).round(),
                "nvram_flash_bytes" => size * 2.0,
                "cpu_load" | "memory_pct" => value.min(100.0),
                "response_time" if down => f64::NAN,
                _ if down && !pair.suffix.is_empty() => value * 0.1,
                _ => value,
            };
            let value = if gap.contains(&at) { f64::NAN } else { value };
            average.push(value);
            min.push(value * (0.6 + 0.4 * random()));
            max.push(if source == "is_up" {
                value
            } else {
                value * (1.0 + 0.5 * random())
            });
        }
        at += step;
    }
    let fetched = |values| Fetched {
        start: NOW - span + step,
        step: step.unsigned_abs(),
        sources: sources.clone(),
        values,
    };
    let mut chart = Chart::of_pair(pair, fetched(average), NOW);
    let extremes = !["is_up", "cpu_load", "ports_up_count"].contains(&sources[sources.len() - 1].as_str());
    chart.min = extremes.then(|| fetched(min));
    chart.max = extremes.then(|| fetched(max));
    chart.outages = vec![outage];
    chart
}

fn size_of(source: &str) -> f64 {
    match source {
        "response_time" => 12.0,
        "is_up" | "cpu_load" | "memory_pct" => 55.0,
        "total_bits_in" | "total_bits_out" => 600e6,
        "total_errors_in" | "total_errors_out" | "tcp_retrans" => 0.3,
        "ports_up_count" => 20.0,
        "nvram_flash_bytes" => 14e6,
        "mac_count" | "arp_count" => 140.0,
        "disk_read" | "disk_write" => 40e6,
        "swap_used" => 1.3e9,
        "swap_io" => 20.0,
        _ => 8_000.0,
    }
}
