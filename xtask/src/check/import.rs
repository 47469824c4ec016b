//! The imports between the files of a crate: each name is followed through
//! re-exports to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    scope::{self, Scope, Use},
    token,
};

/// The modules of one crate.
pub(super) struct Crate<'a> {
    pub(super) files: Vec<&'a str>,
    modules: Vec<Module>,
    /// The module that each file is.
    of_file: Vec<usize>,
}

struct Module {
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    scope: Scope,
}

/// The target of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// An item of this file.
    Item(usize),
    Module(usize),
}

/// The names that one file takes from another, each with its first line.
pub(super) type Names = BTreeMap<String, usize>;

/// The uses being followed, by module and index, so that none is followed within itself.
type Trail = Vec<(usize, usize)>;

impl<'a> Crate<'a> {
    /// Reads the crate whose root file is `root` from its sources, by path. Files
    /// that only tests declare are left out.
    pub(super) fn read(root: &'a str, sources: &'a BTreeMap<String, String>) -> Self {
        let mut it = Self {
            files: Vec::new(),
            modules: Vec::new(),
            of_file: Vec::new(),
        };
        it.add(root, None, sources);
        it
    }

    fn add(&mut self, file: &'a str, parent: Option<usize>, sources: &'a BTreeMap<String, String>) -> usize {
        let code = token::product_code(&sources[file]);
        let place = self.files.len();
        let own = self.modules.len();
        self.files.push(file);
        self.of_file.push(own);
        for scope in scope::scopes(&code) {
            let around = scope.inline.split_last();
            let (parent, name) = match around {
                None => (parent, None),
                Some((name, around)) => (Some(self.descend(own, around)), Some(name.clone())),
            };
            let module = self.modules.len();
            if let (Some(parent), Some(name)) = (parent, name) {
                self.modules[parent].children.insert(name, module);
            }
            let submodules = scope.submodules.clone();
            let directory = [vec![directory(file)], scope.inline.clone()].concat().join("/");
            self.modules.push(Module {
                file: place,
                parent,
                children: BTreeMap::new(),
                scope,
            });
            for name in submodules {
                let candidates = [
                    format!("{directory}/{name}.rs"),
                    format!("{directory}/{name}/mod.rs"),
                ];
                // What a build without the module's feature has in its place.
                let substitute = format!("{directory}/{name}/not_built.rs");
                if let Some((path, _)) = sources.get_key_value(&substitute) {
                    self.add(path, Some(module), sources);
                }
                let declared = candidates.iter().find_map(|path| sources.get_key_value(path));
                if let Some((path, _)) = declared {
                    let child = self.add(path, Some(module), sources);
                    self.modules[module].children.insert(name, child);
                }
            }
        }
        own
    }

    /// The inline module below `module` with these names.
    fn descend(&self, module: usize, names: &[String]) -> usize {
        names.iter().fold(module, |module, name| {
            self.modules[module].children.get(name).copied().unwrap_or(module)
        })
    }

    /// Whether one of two files is a module around the other.
    pub(super) fn is_family(&self, a: usize, b: usize) -> bool {
        self.is_around(a, b) || self.is_around(b, a)
    }

    fn is_around(&self, outer: usize, inner: usize) -> bool {
        let mut module = Some(self.of_file[inner]);
        while let Some(at) = module {
            if at == self.of_file[outer] {
                return true;
            }
            module = self.modules[at].parent;
        }
        false
    }

    /// The imports between files, by (importing, imported).
    pub(super) fn imports(&self) -> BTreeMap<(usize, usize), Names> {
        let mut imports: BTreeMap<(usize, usize), Names> = BTreeMap::new();
        for (place, module) in self.modules.iter().enumerate() {
            for (to, name, line) in self.taken_by(place) {
                if to != module.file {
                    let names = imports.entry((module.file, to)).or_default();
                    let first = names.entry(name).or_insert(line);
                    *first = line.min(*first);
                }
            }
        }
        imports
    }

    /// The file, name and line of all that one module's code takes from others.
    fn taken_by(&self, module: usize) -> Vec<(usize, String, usize)> {
        let scope = &self.modules[module].scope;
        let mut taken = Vec::new();
        for it in &scope.uses {
            for target in self.follow(module, &it.path, &mut Trail::new()) {
                match target {
                    Target::Item(file) => taken.push((file, shown(&it.path), it.line)),
                    Target::Module(other) if it.is_glob => taken.extend(self.glob(module, other, it)),
                    Target::Module(other) => {
                        // The items used through a module's name count instead of the name.
                        let is_prefix =
                            |path: &[String]| path.len() > 1 && Some(&path[0]) == it.name.as_ref();
                        if !scope.paths.iter().any(|(_, path)| is_prefix(path)) {
                            taken.push((self.modules[other].file, shown(&it.path), it.line));
                        }
                    }
                }
            }
        }
        for (line, path) in &scope.paths {
            let is_from_above = ["crate", "self", "super"].contains(&path[0].as_str());
            if !is_from_above && (path.len() < 2 || !self.is_module(module, &path[0])) {
                continue;
            }
            for target in self.follow(module, path, &mut Trail::new()) {
                taken.push((self.file_of(target), shown(path), *line));
            }
        }
        taken
    }

    /// The names of a glob of `other` that the code of `module` uses.
    fn glob(&self, module: usize, other: usize, glob: &Use) -> Vec<(usize, String, usize)> {
        let scope = &self.modules[module].scope;
        let mut taken = Vec::new();
        for (line, path) in &scope.paths {
            let is_own = self.modules[module].children.contains_key(&path[0])
                || scope.items.contains(&path[0])
                || scope.uses.iter().any(|it| it.name.as_ref() == Some(&path[0]));
            if !is_own {
                for target in self.find(other, path, &mut Trail::new()) {
                    // A module's name alone is more likely a variable.
                    if path.len() > 1 || matches!(target, Target::Item(_)) {
                        taken.push((self.file_of(target), shown(path), *line));
                    }
                }
            }
        }
        if taken.is_empty() {
            taken.push((self.modules[other].file, "*".into(), glob.line));
        }
        taken
    }

    fn is_module(&self, module: usize, name: &str) -> bool {
        let targets = self.follow(module, &[name.to_owned()], &mut Trail::new());
        targets.iter().any(|target| matches!(target, Target::Module(_)))
    }

    fn file_of(&self, target: Target) -> usize {
        match target {
            Target::Item(file) => file,
            Target::Module(module) => self.modules[module].file,
        }
    }

    /// The targets of a path in the code of `module`.
    fn follow(&self, module: usize, path: &[String], trail: &mut Trail) -> Vec<Target> {
        let (mut at, mut path) = (module, path);
        if path.first().is_some_and(|first| first == "crate") {
            (at, path) = (0, &path[1..]);
        }
        while let Some((first, rest)) = path.split_first() {
            match first.as_str() {
                "self" => path = rest,
                "super" => (at, path) = (self.modules[at].parent.unwrap_or(at), rest),
                _ => break,
            }
        }
        self.find(at, path, trail)
    }

    /// The targets of a path within `module`; none if it leads to another crate.
    fn find(&self, module: usize, path: &[String], trail: &mut Trail) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        let Module {
            file,
            children,
            scope,
            ..
        } = &self.modules[module];
        let mut found = Vec::new();
        if let Some(child) = children.get(first) {
            found = self.find(*child, rest, trail);
            if found.is_empty() {
                // A macro may define it.
                found.push(Target::Item(self.modules[*child].file));
            }
        }
        if scope.items.contains(first) && (found.is_empty() || rest.is_empty()) {
            found.push(Target::Item(*file));
        }
        for by_glob in [false, true] {
            if by_glob && !found.is_empty() {
                break;
            }
            for (place, it) in scope.uses.iter().enumerate() {
                let serves = if by_glob {
                    it.is_glob
                } else {
                    it.name.as_ref() == Some(first)
                };
                if !serves || trail.contains(&(module, place)) {
                    continue;
                }
                trail.push((module, place));
                if by_glob {
                    for target in self.follow(module, &it.path, trail) {
                        if let Target::Module(other) = target {
                            found.extend(self.find(other, path, trail));
                        }
                    }
                } else {
                    let whole = [&it.path, rest].concat();
                    found.extend(self.follow(module, &whole, trail));
                }
                trail.pop();
            }
        }
        let mut once: Vec<Target> = Vec::new();
        for target in found {
            if !once.contains(&target) {
                once.push(target);
            }
        }
        once
    }
}

/// The directory of a file's submodules.
fn directory(file: &str) -> String {
    let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => directory.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    }
}

/// A path without its leading `crate`, `self` and `super`.
fn shown(path: &[String]) -> String {
    let from_above = ["crate", "self", "super"];
    let parts = path.iter().map(String::as_str);
    let parts: Vec<&str> = parts.skip_while(|part| from_above.contains(part)).collect();
    parts.join("::")
}

/// Names and lines, in the order of the lines.
pub(super) fn in_order(names: &Names) -> Vec<(&str, usize)> {
    let mut list: Vec<(&str, usize)> = names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
    list.sort_by_key(|(_, line)| *line);
    let mut seen = BTreeSet::new();
    list.retain(|(name, _)| seen.insert(*name));
    list
}

#[cfg(test)]
mod tests;
