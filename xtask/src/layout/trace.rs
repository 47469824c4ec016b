//! What was executed, by the records of lld and of callgrind.

use crate::fault::{During, Fault};

/// Where the functions of a program are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// First address, size and symbol, in the order of the addresses.
    functions: Vec<(u64, u64, String)>,
}

impl Layout {
    /// Reads a link map of lld. Its lines are address, load address, size, alignment and name;
    /// the name of an input section ends with `:(.text.SYMBOL)`.
    pub(super) fn read(map: &str) -> Result<Self, Fault> {
        let mut functions: Vec<_> = map.lines().filter_map(function).collect();
        if functions.is_empty() {
            return Err(Fault::new("the link map names no functions"));
        }
        functions.sort();
        Ok(Self { functions })
    }

    /// The functions that contain these addresses, each once, in the order of their symbols, so
    /// that two versions of the list can be compared.
    pub(super) fn functions(&self, addresses: &[u64]) -> Vec<String> {
        let mut found: Vec<&String> = addresses.iter().filter_map(|address| self.at(*address)).collect();
        found.sort();
        found.dedup();
        found.into_iter().cloned().collect()
    }

    fn at(&self, address: u64) -> Option<&String> {
        let after = self.functions.partition_point(|(first, ..)| *first <= address);
        let (first, size, symbol) = self.functions.get(after.checked_sub(1)?)?;
        (address < first + size).then_some(symbol)
    }
}

fn function(line: &str) -> Option<(u64, u64, String)> {
    let mut columns = line.split_ascii_whitespace();
    let mut number = || u64::from_str_radix(columns.next()?, 16).ok();
    let (first, _, size, _) = (number()?, number()?, number()?, number()?);
    let section = line.rsplit_once(":(.text.")?.1.strip_suffix(')')?;
    let prefixes = ["unlikely.", "hot.", "startup.", "exit."];
    let symbol = prefixes.iter().find_map(|prefix| section.strip_prefix(prefix));
    (size > 0).then(|| (first, size, symbol.unwrap_or(section).to_owned()))
}

/// The addresses of executed instructions in the object whose path ends with `object`, from the
/// file that callgrind wrote with `--dump-instr=yes` and without compression.
pub(super) fn executed(trace: &str, object: &str) -> Result<Vec<u64>, Fault> {
    let mut addresses = Vec::new();
    let mut is_in_object = false;
    for line in trace.lines() {
        if let Some(path) = line.strip_prefix("ob=") {
            is_in_object = path.ends_with(object);
        } else if is_in_object && let Some(rest) = line.strip_prefix("0x") {
            let address = rest.split(' ').next().unwrap_or(rest);
            addresses.push(u64::from_str_radix(address, 16).during(format!("read \"{line}\""))?);
        }
    }
    if addresses.is_empty() {
        return Err(Fault::new(format!("the trace has no instructions of {object}")));
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
             VMA              LMA     Size Align Out     In      Symbol
            1000             1000      200    16 .text
            1000             1000       20     1         /lib/crt1.o:(.text)
            1020             1020       30    16         apmon.o:(.text._ZN4core3foo17h0123E)
            1020             1020       30     1                 core::foo
            1050             1050       10    16         apmon.o:(.text.unlikely._ZN4core3bar17h0123E)
            1060             1060        8    16         /lib/libsqlite3.a(sqlite3.o):(.text.sqlite3_step)
            2000             2000       40     8         apmon.o:(.data.rel.ro.table)
";

    #[test]
    fn a_trace_and_a_map_give_the_functions_that_ran() {
        let trace = "\
ob=/target/dist/apmon
fn=(below main)
0x1024 0 1
0x1028 0 7
cob=/lib/libc.so.6
cfn=malloc
calls=1 0x1060 0
0x105f 0 3
ob=/lib/libc.so.6
0x1060 0 1
";
        let layout = Layout::read(MAP).unwrap();
        let addresses = executed(trace, "/apmon").unwrap();
        assert_eq!(addresses, [0x1024, 0x1028, 0x105f]);
        assert_eq!(
            layout.functions(&addresses),
            ["_ZN4core3bar17h0123E", "_ZN4core3foo17h0123E"]
        );
        assert_eq!(
            layout.functions(&[0x1000, 0x1067, 0x1068, 0x2000]),
            ["sqlite3_step"]
        );
    }

    #[test]
    fn records_without_content_are_errors() {
        assert!(Layout::read("").is_err());
        assert!(executed("ob=/lib/libc.so.6\n0x1000 0 1\n", "/apmon").is_err());
        assert!(executed("ob=/apmon\n0xzz 0 1\n", "/apmon").is_err());
    }
}
