//! Compares rows with the codes that there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use channel_files::{ChannelList, Column};
use wechat::scene::{Lifetime, Scene};

use super::answer::{CurrentNames, Plan, PlannedRow, RowStatus};
use super::draft::Draft;
use super::query::PlanQuery;
use super::words;
use crate::access::Scope;
use crate::channels::{ChannelStore, KnownScene};
use crate::codes::Codes;
use crate::http::api::codes::new_code::CheckedNewCode;
use crate::http::extract::key_holder::KeyHolder;
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;

/// The parts of the service that plan.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    pub(crate) codes: Arc<Codes>,
    pub(crate) channels: ChannelStore,
    pub(crate) default_expire: Lifetime,
}

impl Planner {
    /// Plans a list.
    ///
    /// # Errors
    /// `scope_missing` if the holder may not make a valid row's code, or when the database cannot
    /// be used.
    pub(super) async fn plan(
        &self,
        holder: &KeyHolder,
        list: ChannelList,
        query: &PlanQuery,
    ) -> Result<Plan, Problem> {
        let rows = list.rows.into_iter();
        let mut drafts: Vec<_> = rows.map(|row| Draft::of(row, &query.defaults)).collect();
        self.find_named(&mut drafts).await?;
        self.check(&mut drafts).await;
        self.propose(&mut drafts).await?;
        self.check(&mut drafts).await;
        refuse_repeated(&mut drafts);
        let scopes = drafts
            .iter()
            .filter_map(|draft| draft.checked.as_ref().ok()?.as_ref());
        let scopes: HashSet<Scope> = scopes.map(CheckedNewCode::scope).collect();
        for scope in scopes {
            holder.require(scope)?;
        }
        let known = self.known(&drafts).await?;
        let supplies = self.codes.supplies().await?;
        let rows: Vec<_> = drafts
            .into_iter()
            .map(|draft| Compared::of(draft, &known))
            .collect();
        Ok(Plan {
            new_permanent: rows.iter().filter(|row| row.costs_stock).count(),
            permanent_left: supplies.permanent_left(),
            rows: rows.into_iter().map(|row| row.shown(query.lang)).collect(),
            unknown_columns: list.unknown_columns,
        })
    }

    /// Gives rows without a scene the one that their name has.
    async fn find_named(&self, drafts: &mut [Draft]) -> Result<(), Problem> {
        let labels = drafts.iter().filter_map(Draft::nameless_scene);
        let labels: Vec<_> = labels.map(|(label, _)| label).collect();
        let named = self.channels.scenes_named(&labels).await?;
        for draft in drafts {
            let Some((label, permanent)) = draft.nameless_scene() else {
                continue;
            };
            if let Some(scene) = named.get(&(label.to_owned(), permanent)) {
                draft.take_scene(scene);
            }
        }
        Ok(())
    }

    /// Proposes scenes for the rows that have none yet: the first that no code with another name
    /// has, and no row that names it.
    async fn propose(&self, drafts: &mut [Draft]) -> Result<(), Problem> {
        let mut taken: HashSet<Scene> = drafts.iter().filter_map(scene).collect();
        loop {
            let proposals = drafts.iter_mut().enumerate();
            let proposals: Vec<_> = proposals
                .filter_map(|(at, draft)| Some((at, draft.propose()?)))
                .collect();
            if proposals.is_empty() {
                return Ok(());
            }
            let scenes: Vec<_> = proposals.iter().map(|(_, scene)| scene.clone()).collect();
            let known = self.channels.known_scenes(&scenes).await?;
            let mut accepted = Vec::new();
            for (at, scene) in proposals {
                let name = known
                    .get(&scene)
                    .and_then(|known| known.channel.label.as_deref());
                let has_other_name = name.is_some() && name != drafts[at].label();
                if !has_other_name && !taken.contains(&scene) || drafts[at].is_at_last_proposal() {
                    drafts[at].take_scene(&scene);
                    accepted.push(scene);
                }
            }
            // Two rows of one name get the same scene: the second is refused as a repetition.
            taken.extend(accepted);
        }
    }

    /// Checks every row that has a scene, and lets others have the thread in between.
    async fn check(&self, drafts: &mut [Draft]) {
        /// Some milliseconds of work.
        const AT_ONCE: usize = 256;
        for some in drafts.chunks_mut(AT_ONCE) {
            for draft in some {
                draft.check(self.default_expire);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn known(&self, drafts: &[Draft]) -> Result<HashMap<Scene, KnownScene>, Problem> {
        let scenes: Vec<_> = drafts.iter().filter_map(scene).collect();
        Ok(self.channels.known_scenes(&scenes).await?)
    }
}

fn scene(draft: &Draft) -> Option<Scene> {
    draft.spec().map(wechat::scene::CodeSpec::scene)
}

/// Refuses a row with the scene of one before it.
fn refuse_repeated(drafts: &mut [Draft]) {
    let mut first: HashMap<Scene, u32> = HashMap::new();
    for draft in drafts {
        let Some(scene) = scene(draft) else { continue };
        let line = *first.entry(scene.clone()).or_insert(draft.line);
        if line != draft.line {
            draft.checked = Err(words::repeated(&scene, line));
        }
    }
}

/// A row with what would become of it.
struct Compared {
    draft: Draft,
    status: RowStatus,
    current: Option<CurrentNames>,
    costs_stock: bool,
}

impl Compared {
    fn of(mut draft: Draft, known: &HashMap<Scene, KnownScene>) -> Self {
        let Some(scene) = scene(&draft) else {
            return Self {
                draft,
                status: RowStatus::Invalid,
                current: None,
                costs_stock: false,
            };
        };
        let known = known.get(&scene).cloned().unwrap_or_default();
        let mistake = draft.mistake().filter(|_| !known.has_code);
        let costs_stock = scene.kind().is_permanent() && !known.counts && mistake.is_none();
        let status = match mistake {
            Some(mistake) => {
                draft.checked = Err(mistake);
                RowStatus::Invalid
            }
            None if !known.has_code => RowStatus::New,
            None if draft.is_met_by(&known) => RowStatus::Known,
            None => RowStatus::Changed,
        };
        if matches!(status, RowStatus::Known | RowStatus::Changed) {
            draft.keep_code();
        }
        Self {
            draft,
            status,
            current: (status == RowStatus::Changed).then(|| known.into()),
            costs_stock,
        }
    }

    fn shown(self, lang: Lang) -> PlannedRow {
        let problem = self.draft.checked.err();
        PlannedRow {
            line: self.draft.line,
            status: self.status,
            request: self.draft.request,
            current: self.current,
            problem: problem.map(|problem| words::sentence(&problem, lang)),
            trimmed: self
                .draft
                .trimmed
                .into_iter()
                .map(Column::english)
                .collect(),
        }
    }
}
