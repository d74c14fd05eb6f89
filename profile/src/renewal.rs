//! Renewals that an agency asks for (42 CFR 435.916(b), without requiring anything of the person): pseudonyms in, tokens
//! out, done by the workers.
//!
//! An agency can name only cases whose application it accepted, each decided anew under the contract of that application
//! and no other. An item is a question under a key of its own, so whoever takes it up after a crash goes on with the same one.

use std::collections::BTreeSet;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::Verdict;
use contracts::lifecycle;
use contracts::units::UnixTime;
use oracles::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agency::StatusNotice;
use crate::api::agency::{
    AgencyNotice, MAX_OPEN_RENEWALS, MAX_RENEWALS, NoticePage, Renewal, RenewalOutcome, Renewed,
};
use crate::api::types::{AskQuestion, Outcome, Page, State};
use crate::enrol::reused_key;
use crate::lifecycle::backoff;
use crate::notifier::Template;
use crate::oracle::random32;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::agency::{StoredItem, StoredRenewal, insert_renewal, open_renewals};
use crate::store::idempotency::remember;
use crate::store::{Remembered, StoreError, StoredProfile};

/// Failures in a row after which an item ends as failed: about three hours.
const MAX_FAILURES: u32 = 12;

/// What came of an item.
#[derive(Debug)]
struct Came {
    outcome: RenewalOutcome,
    token: Option<String>,
    code: Option<String>,
}

fn ended(outcome: RenewalOutcome) -> Came {
    Came {
        outcome,
        token: None,
        code: None,
    }
}

/// Whether trying again cannot help.
fn is_final(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        "not-enrolled" | "contract" | "contract-changed" | "committee-refused" | "bad-request"
    )
}

impl Service {
    /// Seals what agencies have here. It follows from the root, so that it opens after the operator key was replaced too.
    fn records(&self) -> SealKey {
        SealKey::new(self.root.derive("shp/v1/agency-records", &[]))
    }

    /// What a case is kept under: without the operator key it leads from no pseudonym to a profile.
    pub(crate) fn case_digest(&self, audience: &str, pseudonym: &[u8; 32]) -> Bytes32 {
        let case = tagged_hash("shp/v1/agency-case", &[audience.as_bytes(), pseudonym]);
        let digest = self.root.derive("shp/v1/agency-case", &case);
        Bytes32::from(*digest)
    }

    fn seal_for<T: Serialize>(&self, what: &str, id: &Bytes32, place: i64, value: &T) -> String {
        let context = [what.as_bytes(), &id.0, &place.to_be_bytes()];
        let text = serde_json::to_vec(value).expect("stored types are plain JSON");
        self.records().seal(&context, &text)
    }

    fn open_for<T: DeserializeOwned>(
        &self,
        what: &str,
        id: &Bytes32,
        place: i64,
        sealed: &str,
    ) -> Result<T, Problem> {
        let context = [what.as_bytes(), &id.0, &place.to_be_bytes()];
        let opened = self.records().open(&context, sealed).ok();
        let value = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        value.ok_or_else(Problem::internal)
    }

    /// A notice as the feed keeps it.
    pub(crate) fn seal_notice(&self, task: &Bytes32, told: &(String, StatusNotice)) -> String {
        self.seal_for("notice", task, 0, told)
    }

    /// Takes a batch; the same key finds it again. Says whether it is new.
    ///
    /// # Errors
    /// 400 for none or too many pseudonyms, or one twice; 409 when too many batches are open; 422 for a key of another batch.
    pub(crate) async fn renew(
        &self,
        audience: &str,
        key: &str,
        pseudonyms: &[String],
    ) -> Result<(Renewal, bool), Problem> {
        let parsed = pseudonyms.iter().map(|text| Bytes32::parse(text).ok());
        let parsed: Option<BTreeSet<Bytes32>> = parsed.collect();
        let fits = (1..=MAX_RENEWALS).contains(&pseudonyms.len());
        if !fits || parsed.is_none_or(|parsed| parsed.len() != pseudonyms.len()) {
            return Err(Problem::bad_request(format!(
                "pseudonyms: 1 to {MAX_RENEWALS}, each once, as the `sub` of their tokens spells them"
            )));
        }
        let (id, now) = (random32(), self.clock.now());
        let scope = format!("renewals {audience}");
        let body = serde_json::to_vec(pseudonyms).map_err(|_| Problem::internal())?;
        let mut tx = self.store.begin().await?;
        let found = match remember(&mut tx, &scope, key, &body, &id.to_string(), now).await? {
            Remembered::First => {
                if open_renewals(&mut tx, audience).await? >= MAX_OPEN_RENEWALS {
                    return Err(Problem::conflict(
                        "too-many-open",
                        format!("{MAX_OPEN_RENEWALS} batches are open: wait until one is done"),
                    ));
                }
                let sealed: Vec<String> = (1i64..)
                    .zip(pseudonyms)
                    .map(|(place, pseudonym)| self.seal_for("renewal", &id, place, pseudonym))
                    .collect();
                insert_renewal(&mut tx, &id, audience, &sealed, now).await?;
                tx.commit().await.map_err(StoreError::from)?;
                id
            }
            Remembered::Again(first) => {
                drop(tx);
                Bytes32::parse(&first).map_err(|_| Problem::internal())?
            }
            Remembered::Other => return Err(reused_key()),
        };
        let stored = self.store.renewal(audience, &found).await?;
        let stored = stored.ok_or_else(Problem::internal)?;
        Ok((view(&stored, Vec::new(), None), found == id))
    }

    /// How far a batch is, and a page of its items in the order in which they were named.
    ///
    /// # Errors
    /// 404 for another agency's.
    pub(crate) async fn renewal_view(
        &self,
        audience: &str,
        id: &Bytes32,
        page: &Page,
    ) -> Result<Renewal, Problem> {
        let stored = self
            .store
            .renewal(audience, id)
            .await?
            .ok_or_else(unknown)?;
        let items = self
            .store
            .renewal_items(id, page.after, page.limit())
            .await?;
        let next = page.next(items.len(), items.last().map(|item| item.place));
        let results = items
            .iter()
            .map(|item| self.renewed(item))
            .collect::<Result<_, _>>()?;
        Ok(view(&stored, results, next))
    }

    fn renewed(&self, item: &StoredItem) -> Result<Renewed, Problem> {
        match &item.result {
            Some(result) => self.open_for("renewed", &item.renewal, item.place, result),
            None => Ok(Renewed {
                pseudonym: self.pseudonym(item)?,
                outcome: RenewalOutcome::Pending,
                token: None,
                code: None,
            }),
        }
    }

    fn pseudonym(&self, item: &StoredItem) -> Result<String, Problem> {
        self.open_for("renewal", &item.renewal, item.place, &item.pseudonym)
    }

    /// Notices to an agency after a number.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn notices(&self, audience: &str, page: &Page) -> Result<NoticePage, Problem> {
        let limit = page.limit();
        let found = self
            .store
            .agency_notices(audience, page.after, limit)
            .await?;
        let next = page.next(found.len(), found.last().map(|(seq, ..)| *seq));
        let notices = found
            .into_iter()
            .map(|(seq, at, task, sealed)| {
                let (application, told): (String, StatusNotice) =
                    self.open_for("notice", &task, 0, &sealed)?;
                Ok(AgencyNotice {
                    seq,
                    at,
                    application,
                    notice: told.notice,
                    token: told.token,
                })
            })
            .collect::<Result<_, Problem>>()?;
        Ok(NoticePage { notices, next })
    }

    /// Claims an item and takes it as far as it goes now; says whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn renew_next(&self, now: UnixTime, until: UnixTime) -> Result<bool, Problem> {
        let Some((item, audience)) = self.store.claim_renewal(now, until).await? else {
            return Ok(false);
        };
        let result = match self.decide_anew(&item, &audience).await {
            Ok(result) => result,
            Err(problem) if is_final(&problem) || item.failures >= MAX_FAILURES => Came {
                code: Some(problem.code().to_owned()),
                ..ended(RenewalOutcome::Failed)
            },
            Err(problem) => {
                let wait = backoff(item.failures);
                tracing::warn!(
                    code = problem.code(),
                    wait,
                    "a renewal failed; it is tried again"
                );
                let at = UnixTime(self.clock.now().0.saturating_add(wait));
                self.store.put_off_renewal(&item, at).await?;
                return Ok(true);
            }
        };
        let renewed = Renewed {
            pseudonym: self.pseudonym(&item)?,
            outcome: result.outcome,
            token: result.token,
            code: result.code,
        };
        let sealed = self.seal_for("renewed", &item.renewal, item.place, &renewed);
        let now = self.clock.now();
        self.store.finish_renewal(&item, &sealed, now).await?;
        Ok(true)
    }

    /// Whether a person reviews what the owner disputes: until then nothing is proved from it, for them or against.
    async fn disputes(&self, profile: &StoredProfile) -> Result<bool, Problem> {
        let Some(stored) = self.store.lifecycle(&profile.profile).await? else {
            return Ok(false);
        };
        let state: lifecycle::State = stored.state(&self.lifecycle_key(profile, &stored)?)?;
        let phase = state.case.map(|case| case.phase);
        Ok(matches!(phase, Some(lifecycle::Phase::Review { .. })))
    }

    /// Asks the case's question anew and takes it to its verdict. Nobody is texted and nothing is filed.
    async fn decide_anew(&self, item: &StoredItem, audience: &str) -> Result<Came, Problem> {
        let pseudonym = Bytes32::parse(&self.pseudonym(item)?).map_err(|_| Problem::internal())?;
        let digest = self.case_digest(audience, &pseudonym.0);
        let Some((profile, accepted)) = self.store.agency_case(&digest).await? else {
            return Ok(ended(RenewalOutcome::Unknown));
        };
        let store = &self.store;
        let stored = store
            .profile(&profile)
            .await?
            .ok_or_else(Problem::internal)?;
        if self.disputes(&stored).await? {
            return Ok(ended(RenewalOutcome::Disputed));
        }
        let accepted = store.question(&profile, &accepted).await?;
        let accepted = accepted.ok_or_else(Problem::internal)?;
        let ask = AskQuestion {
            contract: accepted.contract.id.clone(),
            jurisdiction: accepted.jurisdiction,
            as_of: self.clock.today(),
            audience: audience.to_owned(),
            withhold: Vec::new(),
            anew: true,
        };
        // The same item finds the same question, on whatever day. An owner's key holds no space.
        let key = format!("renewal {} {}", item.renewal, item.place);
        let body = key.clone().into_bytes();
        let (question, _) = self
            .ask_with(&stored, &key, &body, &ask, Template::Renew)
            .await?;
        let question = self.to_verdict(&stored, question).await?;
        if question.outcome == Some(Outcome::NeedsInfo) {
            return Ok(ended(RenewalOutcome::NeedsInfo));
        }
        let outcome = match (question.state, question.verdict) {
            (State::Decided, Some(Verdict::Yes)) => RenewalOutcome::Yes,
            (State::Done, Some(Verdict::No)) => RenewalOutcome::No,
            _ => return Err(Problem::internal()),
        };
        let token = self.token(&stored, &question.question).await?.token;
        Ok(Came {
            token: Some(token),
            ..ended(outcome)
        })
    }
}

fn view(stored: &StoredRenewal, results: Vec<Renewed>, next: Option<i64>) -> Renewal {
    Renewal {
        renewal: stored.renewal,
        total: stored.total,
        done: stored.done,
        created_at: stored.created_at,
        results,
        next,
    }
}

/// 404: no such batch.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("no such batch under this agency's token")
}
