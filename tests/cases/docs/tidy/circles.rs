//! No circle of imports: inside each package the files stand on each other in one direction.
//!
//! A file depends on the file that defines an item it names, whichever re-export it names it by.
//! These are no dependencies:
//!
//! - `mod child;` and `pub use child::…`: a file may show what its children contain.
//! - A method call, because it names no file.
//! - A constant, a trait, an alias or a type without methods of its own that a file takes from a
//!   parent: a parent declares the words that its children have in common. A function or a type
//!   that does something is not a word; it belongs beside or below those who use it.
//! - Tests, and adapters for the fuzzer.

use super::{check, sources};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::{
    Attribute, Item, ItemUse, Macro, UseTree, Visibility,
    visit::{self, Visit},
};

/// Circles that are right, by package, with the files and the reason.
const NATURAL: [(&str, &[&str], &str); 0] = [];

type Path = Vec<String>;

/// What one file says.
#[derive(Default)]
struct Module {
    /// Each path that is named outside `use`.
    named: BTreeSet<Path>,
    /// The name in this file, the path, and whether it is shown to others.
    imports: BTreeMap<String, (Path, bool)>,
    /// Items that a child may take from here.
    words: BTreeSet<String>,
    with_methods: BTreeSet<String>,
    /// How many inline modules enclose the item that is read now.
    inside: usize,
}

/// Whether an item is compiled for tests or the fuzzer alone.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let list = |it: &Attribute| it.meta.require_list().map(|it| it.tokens.to_string());
    attributes.iter().filter(|it| it.path().is_ident("cfg")).any(|it| {
        list(it).is_ok_and(|it| {
            it.split('"').step_by(2).any(|it| it.contains("test")) && !it.contains("not")
        }) || list(it).is_ok_and(|it| it.contains("fuzzing"))
    })
}

impl Module {
    fn read(text: &str) -> Self {
        let mut module = Self::default();
        module.visit_file(&syn::parse_file(text).unwrap());
        module
    }

    /// A path as seen from the file: an inline module is no file.
    fn seen_from_file(&self, mut path: Path) -> Path {
        for _ in 0..self.inside {
            if path.first().is_some_and(|it| it == "super") {
                path.remove(0);
            }
        }
        path
    }

    fn import(&mut self, tree: &UseTree, mut path: Path, shown: bool) {
        let name = match tree {
            UseTree::Path(it) => {
                path.push(it.ident.to_string());
                return self.import(&it.tree, path, shown);
            }
            UseTree::Group(it) => {
                return it.items.iter().for_each(|it| self.import(it, path.clone(), shown));
            }
            UseTree::Glob(_) => format!("{}::*", path.join("::")),
            UseTree::Name(it) if it.ident == "self" => path.last().unwrap().clone(),
            UseTree::Name(it) => {
                path.push(it.ident.to_string());
                it.ident.to_string()
            }
            UseTree::Rename(it) => {
                if it.ident != "self" {
                    path.push(it.ident.to_string());
                }
                it.rename.to_string()
            }
        };
        let path = self.seen_from_file(path);
        self.imports.insert(name, (path, shown));
    }

    fn word(&mut self, item: &Item) {
        let name = match item {
            Item::Const(it) => &it.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Type(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            _ => return,
        };
        self.words.insert(name.to_string());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        self.word(item);
        if let Item::Impl(it) = item
            && let (None, syn::Type::Path(it)) = (&it.trait_, &*it.self_ty)
        {
            self.with_methods.extend(it.path.segments.last().map(|it| it.ident.to_string()));
        }
        let inline = matches!(item, Item::Mod(it) if it.content.is_some());
        self.inside += usize::from(inline);
        visit::visit_item(self, item);
        self.inside -= usize::from(inline);
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        if !is_for_tests(&it.attrs) {
            visit::visit_impl_item_fn(self, it);
        }
    }

    fn visit_item_use(&mut self, it: &'ast ItemUse) {
        self.import(&it.tree, Vec::new(), !matches!(it.vis, Visibility::Inherited));
    }

    /// `pub(in …)` names who may see an item.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|it| it.ident.to_string()).collect();
        let names = self.seen_from_file(names);
        self.named.insert(names);
        visit::visit_path(self, path);
    }

    /// What a macro does with its words is unknown, so all words between `::` are a path.
    fn visit_macro(&mut self, it: &'ast Macro) {
        self.visit_path(&it.path);
        self.read_tokens(it.tokens.clone());
    }
}

impl Module {
    fn read_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Path::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(it) if colons == 2 => path.push(it.to_string()),
                TokenTree::Ident(it) => {
                    self.end_path(std::mem::replace(&mut path, vec![it.to_string()]));
                }
                TokenTree::Punct(it) if it.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(it) => self.read_tokens(it.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_path(std::mem::take(&mut path));
                }
            }
            colons = 0;
        }
        self.end_path(path);
    }

    fn end_path(&mut self, path: Path) {
        if !path.is_empty() {
            let path = self.seen_from_file(path);
            self.named.insert(path);
        }
    }
}

/// The files of a package, by their paths as modules.
struct Package(BTreeMap<Path, Module>);

impl Package {
    /// Every package with a folder `src`, by its folder.
    fn all() -> BTreeMap<String, Self> {
        let mut packages = BTreeMap::<String, Self>::new();
        for (file, text) in sources().into_iter().filter(|(file, _)| !file.starts_with("tests/")) {
            let Some((folder, path)) = file.split_once("/src/") else { continue };
            let path = path.trim_end_matches(".rs").split('/').map(str::to_owned);
            let mut path: Path = path.collect();
            if path.iter().any(|it| it == "tests") || path.last().is_some_and(|it| it == "fuzzing")
            {
                continue;
            }
            if path == ["lib"] || path == ["main"] {
                path.clear();
            }
            let package =
                packages.entry(folder.to_owned()).or_insert_with(|| Self(BTreeMap::new()));
            package.0.insert(path, Module::read(&text));
        }
        packages
    }

    /// The file that `path` in `from` leads to, and the item there. None: outside the package.
    fn find(
        &self,
        from: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(Path, Option<String>)> {
        let module = self.0.get(from)?;
        let mut at = from.to_vec();
        let mut rest = path;
        let first = rest.first()?;
        let is_child = self.0.contains_key(&[from, std::slice::from_ref(first)].concat());
        if first == "crate" {
            (at, rest) = (Path::new(), &rest[1..]);
        } else if first == "self" || first == "super" {
            while let Some(up @ ("self" | "super")) = rest.first().map(String::as_str) {
                if up == "super" {
                    at.pop();
                }
                rest = &rest[1..];
            }
        } else if let Some((path, _)) =
            module.imports.get(first).filter(|it| !is_child && it.0[0] != *first)
            && depth < 8
        {
            let (file, item) = self.find(from, path, depth + 1)?;
            if item.is_some() {
                return Some((file, item));
            }
            (at, rest) = (file, &rest[1..]);
        } else if !is_child {
            return None;
        }
        while let Some(next) = rest.first() {
            at.push(next.clone());
            if !self.0.contains_key(&at) {
                at.pop();
                break;
            }
            rest = &rest[1..];
        }
        let Some(item) = rest.first() else { return Some((at, None)) };
        // What a file only shows is defined elsewhere.
        match self.0.get(&at).and_then(|it| it.imports.get(item)) {
            Some((path, _)) if at != from && depth < 8 => self.find(&at, path, depth + 1),
            _ => Some((at, Some(item.clone()))),
        }
    }

    /// Whether `file` takes from a parent what the parent declares for its children.
    fn is_word(&self, file: &[String], parent: &[String], item: Option<&String>) -> bool {
        let declares = |item: &String| {
            let parent = &self.0[parent];
            parent.words.contains(item) && !parent.with_methods.contains(item)
        };
        file.starts_with(parent) && item.is_some_and(declares)
    }

    /// The files that a file depends on, with the items.
    fn below(&self, file: &Path) -> BTreeMap<Path, BTreeSet<String>> {
        let module = &self.0[file];
        let mut below = BTreeMap::<Path, BTreeSet<String>>::new();
        let used = module.imports.values().filter(|it| !it.1).map(|it| &it.0);
        // A name alone is that of a variable or a type, never of a module.
        let named =
            module.named.iter().filter(|it| it.len() > 1 || module.imports.contains_key(&it[0]));
        for path in named.chain(used) {
            let Some((on, item)) = self.find(file, path, 0) else { continue };
            if on != *file && self.0.contains_key(&on) && !self.is_word(file, &on, item.as_ref()) {
                let item = item.unwrap_or_else(|| "the module".to_owned());
                below.entry(on).or_default().insert(item);
            }
        }
        below
    }

    /// The sets of files each of which leads to every other, with a line for each step.
    fn circles(&self) -> Vec<(BTreeSet<String>, String)> {
        let edges: BTreeMap<_, _> = self.0.keys().map(|it| (it, self.below(it))).collect();
        let reached: BTreeMap<_, _> =
            edges.keys().map(|from| (*from, reach(&edges, from))).collect();
        let mut found = BTreeMap::new();
        for from in edges.keys() {
            let circle: BTreeSet<&Path> =
                reached[*from].iter().filter(|it| reached[**it].contains(*from)).copied().collect();
            if circle.len() > 1 {
                found.insert(circle.iter().map(|it| shown(it)).collect::<BTreeSet<_>>(), circle);
            }
        }
        let steps = |circle: &BTreeSet<&Path>| {
            let mut text = String::new();
            for file in circle {
                for (on, items) in edges[*file].iter().filter(|(on, _)| circle.contains(on)) {
                    text += &format!("\n    {} -> {}: {items:?}", shown(file), shown(on));
                }
            }
            text
        };
        found.into_iter().map(|(names, circle)| (names, steps(&circle))).collect()
    }
}

fn reach<'a>(
    edges: &'a BTreeMap<&'a Path, BTreeMap<Path, BTreeSet<String>>>,
    from: &'a Path,
) -> BTreeSet<&'a Path> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(edges[file].keys());
        }
    }
    reached
}

fn shown(path: &Path) -> String {
    if path.is_empty() { "lib".to_owned() } else { path.join("/") }
}

#[test]
fn no_files_of_a_package_import_each_other_in_a_circle() {
    let mut offences = Vec::new();
    for (folder, package) in Package::all() {
        for (circle, steps) in package.circles() {
            let is_listed = |(place, files, _): &(&str, &[&str], &str)| {
                *place == folder && circle.iter().eq(files.iter())
            };
            if !NATURAL.iter().any(is_listed) {
                offences.push(format!("{folder}: a circle{steps}"));
            }
        }
    }
    check(&offences);
}

#[test]
fn circles_are_found() {
    let package = |files: &[(&str, &str)]| {
        let path = |name: &str| -> Path {
            name.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        Package(files.iter().map(|(name, text)| (path(name), Module::read(text))).collect())
    };
    let files = |package: &Package| -> Vec<Vec<String>> {
        package.circles().into_iter().map(|(files, _)| files.into_iter().collect()).collect()
    };
    let ring =
        [("", "mod a; mod b;"), ("a", "use crate::b::B;"), ("b", "fn f() { super::a::run() }")];
    assert_eq!(files(&package(&ring)), [["a", "b"]]);
    // Through a re-export, in a macro, and by a call through an imported module.
    let ring = [
        ("", "pub use a::A;"),
        ("a", "use super::b; fn f() { b::g() }"),
        ("b", "fn f() { m!(crate::A) }"),
    ];
    assert_eq!(files(&package(&ring)), [["a", "b"]]);
    let parent = [("", "use a::f; fn g() {}"), ("a", "use super::g;")];
    assert_eq!(files(&package(&parent)), [["a", "lib"]]);
    let none = [
        ("", "mod a; use a::A; struct Word; fn g() {} #[cfg(test)] mod t { use super::a; }"),
        ("a", "use super::Word; #[cfg(test)] mod tests { use super::super::g; }"),
    ];
    assert!(files(&package(&none)).is_empty());
    let methods =
        [("", "use a::A; struct Word; impl Word { fn f() {} }"), ("a", "use super::Word;")];
    assert_eq!(files(&package(&methods)), [["a", "lib"]]);
}
