//! Errors of the database.

use wechat::scene::Scene;

use crate::codes::ImportConflict;
use crate::db;
use crate::http::problem::Problem;

impl From<db::Error> for Problem {
    fn from(_: db::Error) -> Self {
        Self::store_unavailable()
    }
}

/// Only a key with the scope `admin` can cause one, so the other code may be named.
impl From<ImportConflict> for Problem {
    fn from(conflict: ImportConflict) -> Self {
        match conflict {
            ImportConflict::Ticket(owner) => Self::already_recorded("ticket", owned_by(&owner)),
            ImportConflict::Url(owner) => Self::already_recorded("url", owned_by(&owner)),
            ImportConflict::Scene(known) => {
                let (ticket, url) = (known.ticket.as_str(), known.url.as_str());
                let message = format!(
                    "is not that of the code that the scene has: its ticket is {ticket} and its url {url}"
                );
                Self::already_recorded("ticket", message)
            }
        }
    }
}

fn owned_by(scene: &Scene) -> String {
    let kind = match scene {
        Scene::Permanent(_) => "permanent",
        Scene::Temporary(_) => "temporary",
    };
    let value = scene.value();
    format!(
        "belongs to another {kind} code, of {} {value}",
        value.field()
    )
}
