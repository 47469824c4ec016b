//! The site file, told by examples: what is accepted, and what is said of the rest.

mod kind;

use std::{collections::HashMap, path::Path};

use super::{Environment, SiteFile, parse};

struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

fn read_with(text: &str, variables: &[(&'static str, &'static str)]) -> Result<SiteFile, String> {
    let environment = Variables(variables.iter().copied().collect());
    parse(Path::new("lab.yaml"), text, kind::KINDS, &environment).map_err(|error| error.to_string())
}

/// The file, or the text of its error.
fn read(text: &str) -> Result<SiteFile, String> {
    read_with(text, &[])
}

#[test]
fn scratch() {
    for path in std::fs::read_dir("/tmp/cases").unwrap() {
        let path = path.unwrap().path();
        println!("=== {}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        match read(&text) {
            Ok(file) => println!("{file:?}"),
            Err(error) => println!("{error}"),
        }
    }
}

#[test]
fn scratch_time() {
    let n = 1_000_000;
    let mut cases: Vec<(String, String)> = Vec::new();
    for unit in [
        "\"", "'", "a ", "a\n", "? ", "&a ", "!", "! ", "[a,", "[]", "[],", "{\"a\":", "-\n", "- - -\n", "#", "\n", "|", "|\n", ">", "%", "%a\n",
        "a: b\n", "*a ", "*a\n", "a:\n", ": ", "- a: b\n", "---\n", "...\n", "\"a\" ", "'a' ", "\\", "\r", "\t", " ", "\u{feff}", "- &a a\n", "- {a: b}\n", "- [a, b]\n", "a, ", "a: ", "\"a\":", "ü", "- \"a\n", "- 'a' :\n", "? a\n",": a\n", "- |\n a\n", "!!str ", "[{", "}{", "\"\\n", "<<: {}\n",
    ] {
        cases.push((format!("{unit:?}"), unit.repeat(n / unit.len())));
        cases.push((format!("site: [{unit:?}"), format!("site: [{}", unit.repeat(n / unit.len()))));
        cases.push((format!("site: \"{unit:?}"), format!("site: \"{}", unit.repeat(n / unit.len()))));
        cases.push((format!("site: |{unit:?}"), format!("site: |\n  {}", unit.repeat(n / unit.len()))));
        cases.push((format!("a: {unit:?}"), format!("a: {}", unit.repeat(n / unit.len()))));
    }
    let keys: String = (0..n / 20).map(|i| format!("  chek_every_n_sec{i}: 3\n")).collect();
    cases.push(("unknown keys".into(), format!("site:\n{keys}monitors: []\n")));
    cases.push(("dup keys".into(), format!("site:\n{keys}{keys}monitors: []\n")));
    cases.push(("monitor keys".into(), format!("site: {{name: x}}\nmonitors:\n  - type: tcp\n{}", keys.replace("  chek","    chek"))));
    cases.push(("top keys".into(), keys.replace("  ", "")));
    let bad = "x, ".repeat(n / 3);
    cases.push(("bad list".into(), format!("site: {{name: x}}\nmonitors:\n  - type: tcp\n    codes: [{bad}]\n")));
    cases.push(("bad mons".into(), format!("site: {{name: x}}\nmonitors: [{bad}]\n")));
    let chain: String = (1..1900).map(|i| format!("- &a{i} [*a{}]\n", i - 1)).collect();
    cases.push(("chain".into(), format!("- &a0 x\n{chain}")));
    let chain: String = (1..900).map(|i| format!("x{i}: &a{i} {{<<: *a{}, k{i}: 1}}\n", i - 1)).collect();
    cases.push(("merge chain".into(), format!("x0: &a0 {{}}\n{chain}")));
    let nested = format!("{}[{}]{}", "&x [".repeat(60), "a, ".repeat(n / 3), "]".repeat(60));
    cases.push(("anchored".into(), format!("a: {nested}")));
    cases.push(("same names".into(), format!("site: {{name: x}}\nmonitors:\n{}", "- {name: x}\n".repeat(n / 12))));
    cases.push(("alias monitors".into(), format!("x: &m {{type: tcp, name: x, addres: 3}}\nsite: {{name: x}}\nmonitors:\n{}", "- *m\n".repeat(n / 5))));
    cases.push(("vars".into(), format!("site: {{name: x}}\nmonitors:\n{}", "- ${A}\n".repeat(n / 8))));
    for (name, text) in cases {
        let watch = crate::time::Stopwatch::start();
        let out = read(&text);
        let took = watch.elapsed();
        if took.as_millis() > 600 { 
            let what = out.map(|_| String::new()).unwrap_or_else(|e| e.lines().next().unwrap_or("").chars().take(100).collect());
            println!("{took:?} {name} {what}");
        }
    }
}
