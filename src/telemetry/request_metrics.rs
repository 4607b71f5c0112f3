//! Cached handles of the metrics of requests and of code lookups. The registry finds a metric by
//! copying and comparing all its labels, which takes longer than the update.
//!
//! A handle is valid for ever, because the recorder drops no metric that is idle. There are few:
//! route, method and status are none that a client chose.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::known_labels;
use super::names::{CODE_LOOKUPS, HTTP_DURATION, HTTP_REQUESTS};

/// Set with the recorder. Without one nothing is counted.
static HANDLES: OnceLock<Handles> = OnceLock::new();

#[derive(Default)]
struct Handles {
    /// By route template.
    routes: RwLock<HashMap<String, Route>>,
    /// By result.
    code_lookups: HashMap<&'static str, Counter>,
}

/// The metrics of a route.
struct Route {
    duration: Histogram,
    /// By method and status.
    requests: HashMap<(&'static str, u16), Counter>,
}

/// Creates the table of handles. Called once the recorder is installed: a handle from before counts
/// nothing.
pub(super) fn start() {
    let code_lookups = known_labels::values(CODE_LOOKUPS)
        .map(|result| (result, counter!(CODE_LOOKUPS, "result" => result)))
        .collect();
    HANDLES.get_or_init(|| Handles {
        code_lookups,
        ..Handles::default()
    });
}

/// Counts one request to the service.
pub(crate) fn http_request(route: &str, method: &'static str, status: u16, took: Duration) {
    let Some(handles) = HANDLES.get() else { return };
    let (count, duration) = handles
        .of_request(route, method, status)
        .unwrap_or_else(|| handles.register(route, method, status));
    count.increment(1);
    duration.record(took);
}

/// Counts a request for a code, by a result that is one of the known labels.
pub(crate) fn code_lookup(result: &'static str) {
    debug_assert!(known_labels::has(CODE_LOOKUPS, result), "{result}");
    let handles = HANDLES.get();
    if let Some(count) = handles.and_then(|handles| handles.code_lookups.get(result)) {
        count.increment(1);
    }
}

impl Handles {
    fn of_request(
        &self,
        route: &str,
        method: &'static str,
        status: u16,
    ) -> Option<(Counter, Histogram)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let route = routes.get(route)?;
        let count = route.requests.get(&(method, status))?;
        Some((count.clone(), route.duration.clone()))
    }

    fn register(&self, name: &str, method: &'static str, status: u16) -> (Counter, Histogram) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(name.to_owned()).or_insert_with(|| Route {
            duration: histogram!(HTTP_DURATION, "route" => name.to_owned()),
            requests: HashMap::new(),
        });
        let count = counter!(HTTP_REQUESTS, "route" => name.to_owned(), "method" => method, "status" => status.to_string());
        route.requests.insert((method, status), count.clone());
        (count, route.duration.clone())
    }
}
