//! The refusals that the account's owner has to act on are in the pages about WeChat's console.

use std::collections::HashSet;

use wechat::{Api, Errcode};

use crate::support::files::read;

/// The numbers in the first column of the page's table.
fn listed(page: &str) -> HashSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let numbers = cells.flat_map(|cell| cell.split([',', '、', ' ']));
    numbers.map(str::to_owned).collect()
}

#[test]
fn every_refusal_that_the_owner_has_to_act_on_is_listed() {
    let is_the_owners = |errcode: &Errcode| {
        [Api::Create, Api::Token].map(|api| errcode.requires_the_owner(api)) != [false, false]
    };
    for page in ["docs/wechat-console.md", "docs/zh/wechat-console.md"] {
        let listed = listed(&read(page));
        let missing: Vec<_> = Errcode::documented()
            .filter(is_the_owners)
            .map(|errcode| errcode.to_string())
            .filter(|errcode| !listed.contains(errcode))
            .collect();
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
}
