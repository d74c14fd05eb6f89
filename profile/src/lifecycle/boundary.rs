//! The next age at which a group begins or ends: known from a question's answer, asked about when the month after it begins.

use contracts::calendar::{month_end, next_boundary};
use contracts::encoding::Bytes32;
use contracts::ids::AttributeId;
use contracts::lifecycle::{Change, Event};
use contracts::units::{Day, UnixTime};
use oracles::problem::Problem;

use super::Task;
use super::worker::{Done, Job};

/// The document that names the day that is waited for.
pub(super) const BOUNDARY: &str = "boundary";
/// Lane of tasks that go by the calendar.
pub(super) const CALENDAR: &str = "calendar";
const BIRTH_DATE: &str = "identity.birth_date";

impl Job<'_> {
    /// The day on which the owner next comes to such an age, if a decided question tells one that is not waited for yet.
    pub(super) async fn boundary(&self, question: &Bytes32) -> Result<Option<Day>, Problem> {
        let service = self.service;
        let birth: AttributeId = BIRTH_DATE.into();
        let shown = service.shown(self.profile, question, std::slice::from_ref(&birth));
        let Ok((_, leaves)) = shown.await else {
            // The contract does not turn on age.
            return Ok(None);
        };
        let mut known = leaves.iter().filter(|held| held.opening.known);
        let Some(held) = known.find(|held| held.attestation.leaf.attribute == birth) else {
            return Ok(None);
        };
        let born = Day::from_number(held.opening.value).map_err(|_| Problem::internal())?;
        let next = next_boundary(service.clock.today(), born, &[]);
        let next = next.map_err(|_| Problem::internal())?;
        let waited_for: Option<Day> = self.document(BOUNDARY).await?;
        Ok(next.filter(|next| waited_for != Some(*next)))
    }

    /// Asks about an age once it is reached. Until then it looks when a month begins, as it does for everybody: a task due on a
    /// birthday would tell when somebody was born.
    pub(super) async fn at_boundary(&self, on: Day) -> Result<Done, Problem> {
        let service = self.service;
        let today = service.clock.today();
        if self.document(BOUNDARY).await? != Some(on) {
            return Ok(Done::default());
        }
        if today < on {
            let next = month_end(today).and_then(|end| end.plus(1));
            let next: UnixTime = next.map_err(|_| Problem::internal())?.start();
            return Ok(Done {
                again: Some((Task::Boundary { on }, next)),
                ..Done::default()
            });
        }
        let change = Change::AgeBoundary;
        Ok(Done {
            events: vec![(self.source(), Event::Changed { change })],
            ..Done::default()
        })
    }
}
