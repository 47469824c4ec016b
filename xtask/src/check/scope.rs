//! The declarations and imports of one file, module by module.

use std::collections::BTreeSet;

use super::token::{Kind, Token, attribute_end, bracket, group_end};

/// One module of a file: the file's own, or an inline one.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Names of the inline modules around it and its own, from the outside in.
    pub(super) inline: Vec<String>,
    /// Structs, functions and so on, by name.
    pub(super) items: BTreeSet<String>,
    /// Submodules that have a file of their own.
    pub(super) submodules: Vec<String>,
    pub(super) uses: Vec<Use>,
    /// Paths in code, such as `crate::rule::health`, and lone names.
    pub(super) paths: Vec<(usize, Vec<String>)>,
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    /// The name here; `None` for a glob or `as _`.
    pub(super) name: Option<String>,
    pub(super) is_glob: bool,
}

/// The scopes of a file; the first is the file's own.
pub(super) fn scopes(code: &[Token<'_>]) -> Vec<Scope> {
    let mut reader = Reader {
        code,
        scopes: vec![Scope::default()],
    };
    reader.module(0, code.len(), 0);
    reader.scopes
}

struct Reader<'a> {
    code: &'a [Token<'a>],
    scopes: Vec<Scope>,
}

impl Reader<'_> {
    /// Reads the module `scope` from the tokens `at..end`.
    fn module(&mut self, mut at: usize, end: usize, scope: usize) {
        let mut depth = 0_usize;
        while at < end {
            let token = self.code[at];
            match bracket(&token) {
                Some(true) => depth += 1,
                Some(false) => depth = depth.saturating_sub(1),
                None => {}
            }
            let after_attribute = attribute_end(self.code, at);
            if after_attribute > at {
                at = after_attribute;
            } else if token.is_name("use") && !self.is_sign(at + 1, "<") {
                at = self.uses(at + 1, scope);
            } else if token.is_name("mod") && self.is_sign(at + 2, ";") {
                let name = self.code[at + 1].text.to_owned();
                self.scopes[scope].submodules.push(name);
                at += 3;
            } else if token.is_name("mod") && self.is_sign(at + 2, "{") {
                let mut inline = self.scopes[scope].inline.clone();
                inline.push(self.code[at + 1].text.to_owned());
                self.scopes.push(Scope {
                    inline,
                    ..Scope::default()
                });
                let close = group_end(self.code, at + 2);
                self.module(at + 3, close.saturating_sub(1), self.scopes.len() - 1);
                at = close;
            } else if depth == 0 && !token.is_name("macro_rules") && self.is_item_macro(at) {
                let end = group_end(self.code, at + 2);
                self.listed(at + 2, end, scope);
                at = end;
            } else if token.kind == Kind::Name {
                if depth == 0
                    && let Some(name) = self.declared(at)
                {
                    self.scopes[scope].items.insert(name);
                }
                at = self.path(at, scope);
            } else {
                at += 1;
            }
        }
    }

    /// Whether an item `name! { ... }` stands at `at`.
    fn is_item_macro(&self, at: usize) -> bool {
        self.code[at].kind == Kind::Name && self.is_sign(at + 1, "!") && self.is_sign(at + 2, "{")
    }

    /// The modules that a macro declares which lists `module::Item`, one entry after the
    /// other. Names of other modules are ignored later: they have no file.
    fn listed(&mut self, open: usize, end: usize, scope: usize) {
        let mut begins = true;
        let mut at = open + 1;
        while at < end {
            let after_attribute = attribute_end(self.code, at);
            if after_attribute > at {
                at = after_attribute; // an entry of a feature begins after it
                continue;
            }
            if begins && self.code[at].kind == Kind::Name && self.is_sign(at + 1, "::") {
                let name = self.code[at].text.to_owned();
                self.scopes[scope].submodules.push(name);
            }
            begins = self.is_sign(at, "{") || self.is_sign(at, ",");
            at += 1;
        }
    }

    fn is_sign(&self, at: usize, sign: &str) -> bool {
        self.code.get(at).is_some_and(|token| token.is_sign(sign))
    }

    /// The name of the item whose keyword stands at `at`.
    fn declared(&self, at: usize) -> Option<String> {
        // `<const N: usize>` and `*const T` declare nothing.
        if at > 0 && ["<", ",", "*", "."].iter().any(|sign| self.is_sign(at - 1, sign)) {
            return None;
        }
        let name = match self.code[at].text {
            "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" => {
                self.code[at + 1..].iter().find(|token| !token.is_name("mut"))?
            }
            "macro_rules" => self.code.get(at + 2)?,
            _ => return None,
        };
        let is_keyword = ["fn", "unsafe", "async", "extern"].contains(&name.text);
        (name.kind == Kind::Name && !is_keyword).then(|| name.text.to_owned())
    }

    /// Notes the path that begins at `at`; returns the place after it.
    fn path(&mut self, at: usize, scope: usize) -> usize {
        let follows = |sign| at > 0 && self.is_sign(at - 1, sign);
        let mut end = at + 1;
        let mut path = vec![self.code[at].text.to_owned()];
        while self.is_sign(end, "::")
            && let Some(next) = self.code.get(end + 1).filter(|next| next.kind == Kind::Name)
        {
            path.push(next.text.to_owned());
            end += 2;
        }
        // `pub(in crate::a)` imports nothing.
        let is_visibility = at > 2 && self.code[at - 1].is_name("in") && self.code[at - 3].is_name("pub");
        if !follows(".") && !follows("::") && !is_visibility {
            self.scopes[scope].paths.push((self.code[at].line, path));
        }
        end
    }

    /// Reads the tree after `use`; returns the place after its semicolon.
    fn uses(&mut self, at: usize, scope: usize) -> usize {
        let end = self.tree(at, &mut Vec::new(), scope);
        if self.is_sign(end, ";") { end + 1 } else { end }
    }

    /// One branch of a tree, below `prefix`; returns the place after it.
    fn tree(&mut self, mut at: usize, prefix: &mut Vec<String>, scope: usize) -> usize {
        let length = prefix.len();
        // `::name` is another crate; an empty first part keeps it from being resolved here.
        if self.is_sign(at, "::") {
            prefix.push(String::new());
            at += 1;
        }
        let mut line = self.code.get(at).map_or(0, |token| token.line);
        while let Some(token) = self.code.get(at) {
            if token.is_sign("{") {
                at += 1;
                while at < self.code.len() && !self.is_sign(at, "}") {
                    at = self.tree(at, prefix, scope);
                    if self.is_sign(at, ",") {
                        at += 1;
                    } else if !self.is_sign(at, "}") {
                        break;
                    }
                }
                prefix.truncate(length);
                return at + 1;
            }
            if token.is_sign("*") {
                self.leaf(line, prefix, None, true, scope);
                prefix.truncate(length);
                return at + 1;
            }
            if token.kind != Kind::Name || token.is_name("as") {
                break;
            }
            line = token.line;
            // `a::{self}` is `a`.
            if !token.is_name("self") || prefix.is_empty() {
                prefix.push(token.text.to_owned());
            }
            at += 1;
            if !self.is_sign(at, "::") {
                break;
            }
            at += 1;
        }
        let mut name = prefix.last().cloned();
        if self.code.get(at).is_some_and(|token| token.is_name("as")) {
            name = self.code.get(at + 1).map(|token| token.text.to_owned());
            at += 2;
        }
        self.leaf(line, prefix, name.filter(|name| name != "_"), false, scope);
        prefix.truncate(length);
        at
    }

    fn leaf(&mut self, line: usize, path: &[String], name: Option<String>, is_glob: bool, scope: usize) {
        self.scopes[scope].uses.push(Use {
            line,
            path: path.to_vec(),
            name,
            is_glob,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::token::product_code, *};

    fn read(text: &str) -> Vec<Scope> {
        scopes(&product_code(text))
    }

    fn uses(text: &str) -> Vec<String> {
        let shown = |it: &Use| {
            let name = if it.is_glob {
                "*"
            } else {
                it.name.as_deref().unwrap_or("_")
            };
            format!("{}: {} {name}", it.line, it.path.join("::"))
        };
        read(text)[0].uses.iter().map(shown).collect()
    }

    #[test]
    fn a_macro_that_lists_items_of_modules_declares_them() {
        let text = "macro_rules! kinds { ($($m:ident::$k:ident,)*) => { $(mod $m;)* }; }\n\
                    mod a;\nkinds! {\n    echo::EchoKind,\n    #[cfg(b::c)]\n    b::Kind,\n}\nfn f() { g! { c::D } }";
        assert_eq!(read(text)[0].submodules, ["a", "echo", "b"]);
    }

    #[test]
    fn every_name_of_a_use_tree_is_read() {
        assert_eq!(
            uses("use a::{self, b::{C, D as E},\n f::*, G as _};\npub(super) use crate::h; use ::i::J;"),
            [
                "1: a a",
                "1: a::b::C C",
                "1: a::b::D E",
                "2: a::f *",
                "2: a::G _",
                "3: crate::h h",
                "3: ::i::J J",
            ]
        );
    }

    #[test]
    fn items_of_a_module_are_declared_and_those_within_functions_are_not() {
        let text =
            "pub struct A<const N: usize>; const fn b(c: *const D) { struct E; } macro_rules! f { () => {} }
                    static mut G: u8 = 0; impl A { fn h() {} } mod i; mod j { enum K {} }";
        let scopes = read(text);
        let items: Vec<&str> = scopes[0].items.iter().map(String::as_str).collect();
        assert_eq!(items, ["A", "G", "b", "f"]);
        assert_eq!(scopes[0].submodules, ["i"]);
        assert_eq!(
            (scopes[1].inline.as_slice(), scopes[1].items.len()),
            (&["j".to_owned()][..], 1)
        );
    }

    #[test]
    fn paths_are_read_without_methods_and_attributes() {
        let scopes = read("#[a::b] fn c() { crate::d::e(f.g::<H>()); pub(in crate::i) }");
        let paths: Vec<String> = scopes[0].paths.iter().map(|(_, path)| path.join("::")).collect();
        assert_eq!(paths, ["fn", "c", "crate::d::e", "f", "H", "pub", "in"]);
    }
}
