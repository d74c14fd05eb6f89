//! A caller takes a question back: what it rests on has changed, and another is to be asked.

use super::Service;
use super::requests::RequestError;
use crate::conversation::decision::{Closed, State};

impl Service {
    /// Closes a caller's decision, unless it has ended: an answer that was final stays one.
    pub(crate) async fn withdraw(
        &self,
        caller: &str,
        decision_id: &str,
    ) -> Result<(), RequestError> {
        let now = self.now();
        // What time has made of it comes first.
        self.settle(decision_id, now).await?;
        let mut write = self.store.write().await?;
        let row = self.store.decision(&mut write, decision_id).await?;
        let row = row.filter(|row| row.caller == caller);
        let mut row = row.ok_or(RequestError::Unknown("decision"))?;
        let before = row.decision.state;
        if matches!(before, State::Open | State::Yes { .. }) {
            row.decision.close(Closed::Withdrawn);
            self.save(&mut write, &row, before, now).await?;
            write.commit().await?;
        }
        Ok(())
    }
}
