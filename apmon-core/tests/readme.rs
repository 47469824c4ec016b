//! The README shows the embedding example as it is.
#![allow(clippy::unwrap_used)] // a panic fails the test

/// The lines without their indentation.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn the_code_in_the_readme_is_part_of_the_example() {
    let readme = include_str!("../../README.md");
    let example = lines(include_str!("../examples/embed.rs"));
    let mut blocks = readme.split("```rust\n").skip(1).peekable();
    assert!(blocks.peek().is_some(), "the README has no code");
    for block in blocks {
        let (block, _) = block.split_once("```").unwrap();
        let block = lines(block);
        let is_shown = example.windows(block.len()).any(|window| window == block);
        assert!(is_shown, "not in embed.rs: {block:#?}");
    }
}
