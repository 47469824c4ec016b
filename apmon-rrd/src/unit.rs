//! The units of values, and how people read them.

/// What a value counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Unit {
    /// A number of things.
    Number,
    /// Things in a second.
    PerSecond,
    /// Bits in a second, with decimal prefixes.
    BitsPerSecond,
    /// Bytes, with binary prefixes.
    Bytes,
    /// Bytes in a second, with binary prefixes.
    BytesPerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Days.
    Days,
    /// A share of a hundred.
    Percent,
}

impl Unit {
    /// The unit of a metric or data source, which its name ends in: `rtt_avg_ms`, `loss_pct`,
    /// `ssl_expiry_days`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "response_time" => return Self::Milliseconds,
            "is_up" | "cpu_load" => return Self::Percent,
            "total_bits_in" | "total_bits_out" => return Self::BitsPerSecond,
            "swap_used" => return Self::Bytes,
            "disk_read" | "disk_write" => return Self::BytesPerSecond,
            "context_switches" | "swap_io" | "interrupts" | "tcp_retrans" => return Self::PerSecond,
            _ if name.starts_with("total_") => return Self::PerSecond,
            _ => {}
        }
        match name.rsplit_once('_').map(|(_, unit)| unit) {
            Some("ms") => Self::Milliseconds,
            Some("pct") => Self::Percent,
            Some("days") => Self::Days,
            Some("bytes") => Self::Bytes,
            _ => Self::Number,
        }
    }

    /// A value as people read it: `12.3 Mbit/s`, `1.5 GiB`, `87 ms`; `unknown` for NaN.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        if !value.is_finite() {
            return "unknown".to_owned();
        }
        if self == Self::Days {
            let name = if digits(value, 1.0) == "1" { "day" } else { "days" };
            return format!("{} {name}", digits(value, 1.0));
        }
        let (factor, prefix) = self.prefix(value.abs());
        let name = self.name();
        let gap = if prefix.is_empty() && (name.is_empty() || name == "/s") {
            ""
        } else {
            " "
        };
        format!("{}{gap}{prefix}{name}", digits(value, factor))
    }

    /// A value beside an axis that has a name, with the prefix of values of this size: `200 M`.
    #[cfg(feature = "chart")]
    pub(crate) fn tick(self, value: f64, size: f64) -> String {
        let (factor, prefix) = self.prefix(size);
        let figure = digits(value, factor);
        if figure == "0" {
            figure
        } else {
            format!("{figure} {prefix}").trim_end().to_owned()
        }
    }

    /// The factor and the letters of the prefix in which a figure of this size is read.
    pub(crate) fn prefix(self, size: f64) -> (f64, &'static str) {
        const BINARY: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
        const DECIMAL: [&str; 6] = ["", "k", "M", "G", "T", "P"];
        let (base, prefixes): (f64, &[&'static str]) = match self {
            Self::Bytes | Self::BytesPerSecond => (1024.0, &BINARY),
            Self::Number | Self::PerSecond | Self::BitsPerSecond => (1000.0, &DECIMAL),
            Self::Milliseconds | Self::Days | Self::Percent => return (1.0, ""),
        };
        let mut factor = 1.0;
        let mut chosen = "";
        for prefix in prefixes {
            chosen = prefix;
            // What would be rounded to 1,000 is one of the next prefix.
            if size / factor < base - 0.5 {
                return (factor, chosen);
            }
            factor *= base;
        }
        (factor / base, chosen)
    }

    /// The name without a prefix.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::PerSecond => "/s",
            Self::BitsPerSecond => "bit/s",
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::Milliseconds => "ms",
            Self::Days => "days",
            Self::Percent => "%",
        }
    }
}

/// A figure with three significant digits, none of them a trailing zero after the point.
fn digits(value: f64, factor: f64) -> String {
    let scaled = value / factor;
    let places = match scaled.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{scaled:.places$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_the_prefixes_of_their_unit() {
        let cases: &[(Unit, f64, &str)] = &[
            (Unit::BitsPerSecond, 0.0, "0 bit/s"),
            (Unit::BitsPerSecond, 999.4, "999 bit/s"),
            (Unit::BitsPerSecond, 999.6, "1 kbit/s"),
            (Unit::BitsPerSecond, 12_340_000.0, "12.3 Mbit/s"),
            (Unit::BitsPerSecond, 10e9, "10 Gbit/s"),
            (Unit::Bytes, 1023.0, "1023 B"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, 3.0 * 1024.0 * 1024.0 * 1024.0, "3 GiB"),
            (Unit::BytesPerSecond, 2_621_440.0, "2.5 MiB/s"),
            (Unit::Milliseconds, 0.0421, "0.042 ms"),
            (Unit::Milliseconds, 12_345.0, "12345 ms"),
            (Unit::Percent, 99.95, "100 %"),
            (Unit::Percent, 99.9, "99.9 %"),
            (Unit::PerSecond, 0.25, "0.25/s"),
            (Unit::PerSecond, 1_250.0, "1.25 k/s"),
            (Unit::Number, 48.0, "48"),
            (Unit::Number, 1_500_000.0, "1.5 M"),
            (Unit::Number, -0.000_1, "0"),
            (Unit::Days, 1.0, "1 day"),
            (Unit::Days, 89.0, "89 days"),
            (Unit::BitsPerSecond, 4e20, "400000 Pbit/s"),
            (Unit::Percent, f64::NAN, "unknown"),
            (Unit::Percent, f64::INFINITY, "unknown"),
        ];
        for (unit, value, text) in cases {
            assert_eq!(unit.text(*value), *text, "{unit:?} {value}");
        }
    }

    #[test]
    fn the_unit_of_a_metric_is_the_end_of_its_name() {
        assert_eq!(Unit::of("rtt_avg_ms"), Unit::Milliseconds);
        assert_eq!(Unit::of("loss_pct"), Unit::Percent);
        assert_eq!(Unit::of("ssl_expiry_days"), Unit::Days);
        assert_eq!(Unit::of("nvram_flash_bytes"), Unit::Bytes);
        assert_eq!(Unit::of("total_pkts_in"), Unit::PerSecond);
        assert_eq!(Unit::of("mac_count"), Unit::Number);
    }
}
