//! Ledger entries of the owner's: appended at any member, each receipt checked.

use contracts::ids::Committee;
use contracts::receipt::{Entry, Receipt};
use oracles::wire::ledger::{AppendAnswer, AppendRequest};

use super::{Failure, OracleError, Oracles};

impl Oracles {
    /// Appends an entry. The same entry again gets the same index, so a lost answer does no harm.
    ///
    /// # Errors
    /// [`OracleError`].
    pub async fn append(&self, entry: Entry) -> Result<Receipt, OracleError> {
        let committee = Committee::Ledger;
        let (members, _) = self.committee(committee);
        let body = AppendRequest { entry };
        let check = |_, answer: AppendAnswer| {
            if answer.receipt.entry != entry {
                return Err(Failure::Wrong("a receipt of another entry".to_owned()));
            }
            answer
                .receipt
                .verify(&self.trust())
                .map_err(|error| Failure::Wrong(error.to_string()))?;
            Ok(answer.receipt)
        };
        self.coordinate(
            "ledger append",
            committee,
            &members,
            "/v1/ledger/append",
            &body,
            check,
        )
        .await
    }
}
