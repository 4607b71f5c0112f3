//! `GET /demo/numbers`, in the demo only: the numbers of a code without a key, so that a newcomer
//! sees a scan arrive.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::civil::Date;
use serde::Serialize;
use wechat::scene::{Lifetime, Scene};

use crate::codes::SceneFilter;
use crate::http::extract::query::QrcodeQuery;
use crate::http::problem::Problem;
use crate::statistics::{Attribution, EventStore, Granularity, Numbers, NumbersFilter};

/// The path of the numbers; the query is that of the code.
pub(crate) const PATH: &str = "/demo/numbers";

/// The numbers of a code over all days.
#[derive(Debug, Serialize)]
pub(crate) struct NumbersBody {
    scans: u64,
    people: u64,
    new_followers: u64,
    lost: u64,
}

pub(crate) async fn numbers(
    State(events): State<EventStore>,
    State(default_expire): State<Lifetime>,
    RawQuery(raw): RawQuery,
) -> Result<Json<NumbersBody>, Problem> {
    let query = QrcodeQuery::parse(&raw.unwrap_or_default())?;
    let scene = query.code_spec(default_expire)?.scene();
    let rows = events.numbers(&of_all_days(&scene)).await?;
    let code = Attribution::Code(scene);
    let row = rows
        .into_iter()
        .flatten()
        .find(|row| row.attribution == code);
    let Numbers {
        scans,
        people,
        new_followers,
        lost,
    } = row.map(|row| row.numbers).unwrap_or_default();
    Ok(Json(NumbersBody {
        scans,
        people,
        new_followers,
        lost,
    }))
}

fn of_all_days(scene: &Scene) -> NumbersFilter {
    NumbersFilter {
        scene: Some(SceneFilter::from(scene)),
        group: None,
        from: Date::constant(2000, 1, 1),
        to: Date::constant(9999, 12, 31),
        granularity: Granularity::Total,
    }
}
