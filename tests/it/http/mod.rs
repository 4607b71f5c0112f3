//! HTTP answers: representations, pages, headers, caching, errors, `/api`, and the OpenAPI
//! document.

mod answers;
mod api;
mod archive;
mod export;
mod headers;
mod microcache;
mod plan;
