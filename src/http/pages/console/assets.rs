//! `GET /assets/{name}`: the modules of the console's pages, which import one another.

use axum::Router;

use crate::http::static_response::{REVALIDATE, StaticResponse};

macro_rules! modules {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("../../../../templates/console/", $name)))),*]
    };
}

/// Name and text of each.
const MODULES: &[(&str, &str)] = &modules![
    "address.js",
    "bulk.js",
    "channel.js",
    "chart.js",
    "codes.js",
    "copy.js",
    "download.js",
    "filters.js",
    "groups.js",
    "kind_choice.js",
    "line.js",
    "make_many.js",
    "make_one.js",
    "names.js",
    "numbers.js",
    "page.js",
    "panel.js",
    "picture.js",
    "plan.js",
    "plan_table.js",
    "print.js",
    "print_list.js",
    "queue.js",
    "range.js",
    "refresh.js",
    "reply.js",
    "selection.js",
    "service.js",
    "session.js",
    "sheet.js",
    "stats.js",
    "stats_days.js",
    "stats_table.js",
    "stats_tiles.js",
    "trouble.js",
    "vector.js",
];

/// A route for each module. They are revalidated each time: a page must run the modules of the
/// service that made it.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    MODULES.iter().fold(Router::new(), |router, (name, text)| {
        let module = StaticResponse::new("text/javascript; charset=utf-8", REVALIDATE, *text);
        router.route(&format!("/assets/{name}"), module.route())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_module_is_served() {
        let served: BTreeSet<_> = MODULES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/console");
        let kept = std::fs::read_dir(folder).unwrap();
        let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(served, kept.collect());
    }
}
