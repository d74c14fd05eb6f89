//! Watches: what an owner lets be watched, the grants of it, how far nodes were read, and changes that are no events yet.

use contracts::encoding::Bytes32;
use contracts::ids::{Domain, NodeId};
use contracts::units::{Day, UnixTime};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, json, number, parsed, to_json};

/// What an owner lets be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsent {
    /// Whose.
    pub profile: Bytes32,
    /// Which domains; none once all of it was taken back.
    pub domains: Vec<Domain>,
    /// The last day.
    pub until: Day,
    /// What the owner was told last.
    pub told: String,
    /// When changes last became events.
    pub fired_at: UnixTime,
    /// Times in a row that looking after it failed.
    pub failures: u32,
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGrant {
    /// Its id.
    pub watch: Bytes32,
    /// Whose.
    pub profile: Bytes32,
    /// Of which domain.
    pub domain: Domain,
    /// Its last day.
    pub expires: Day,
    /// Whether it is over for the owner.
    pub ended: bool,
    /// Nodes that hold it; of an ended one, those that have not forgotten it.
    pub nodes: Vec<NodeId>,
    /// The attributes, sealed.
    pub sealed: String,
}

/// A change that a quorum told.
#[derive(Debug, Clone)]
pub struct StoredChange {
    /// Keyed digest of the attribute.
    pub digest: Bytes32,
    /// The attribute, sealed.
    pub sealed: String,
    /// When the quorum stood, for the latest time.
    pub since: UnixTime,
    /// How often it was told.
    pub times: i64,
}

/// How far a node was read, held by whoever claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Of which committee.
    pub domain: Domain,
    /// The node.
    pub node: NodeId,
    /// The last sequence number taken.
    pub seq: u64,
    /// Times in a row that it did not answer.
    pub failures: u32,
}

fn bytes(row: &AnyRow, column: &'static str) -> Result<Bytes32, StoreError> {
    Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn time(row: &AnyRow, column: &'static str) -> Result<UnixTime, StoreError> {
    Ok(UnixTime(row.try_get(column)?))
}

fn consent(row: &AnyRow) -> Result<StoredConsent, StoreError> {
    Ok(StoredConsent {
        profile: bytes(row, "profile")?,
        domains: json(row, "domains")?,
        until: parsed(row, "until_day")?,
        told: row.try_get("told")?,
        fired_at: time(row, "fired_at")?,
        failures: number(row, "failures")?,
    })
}

fn grant(row: &AnyRow) -> Result<StoredGrant, StoreError> {
    Ok(StoredGrant {
        watch: bytes(row, "watch")?,
        profile: bytes(row, "profile")?,
        domain: parsed(row, "domain")?,
        expires: parsed(row, "expires")?,
        ended: row.try_get::<i64, _>("ended")? != 0,
        nodes: json(row, "nodes")?,
        sealed: row.try_get("sealed")?,
    })
}

const CONSENT: &str =
    "SELECT profile, domains, until_day, told, fired_at, failures FROM watch_consent";
const GRANT: &str = "SELECT watch, profile, domain, expires, ended, nodes, sealed FROM watch_grant";

fn for_update(tx: &Tx) -> &'static str {
    match tx.backend_name() {
        "SQLite" => "",
        // Rows that only refer to it are inserted meanwhile.
        _ => " FOR NO KEY UPDATE",
    }
}

impl Store {
    /// What an owner lets be watched.
    ///
    /// # Errors
    /// The database's.
    pub async fn consent(&self, profile: &Bytes32) -> Result<Option<StoredConsent>, StoreError> {
        let sql = format!("{CONSENT} WHERE profile = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(profile.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(consent).transpose()
    }

    /// A profile's watches, in the order in which they expire.
    ///
    /// # Errors
    /// The database's.
    pub async fn watch_grants(&self, profile: &Bytes32) -> Result<Vec<StoredGrant>, StoreError> {
        let sql = format!("{GRANT} WHERE profile = $1 ORDER BY expires, watch");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(profile.to_string())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(grant).collect()
    }

    /// Claims one owner's consent that is due, as [`Store::claim_task`] does.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_consent(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<StoredConsent>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "watch_consent");
        let sql = format!(
            "{CONSENT} WHERE due_at <= $1 AND held_until <= $1 ORDER BY due_at, profile LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(claimed) = row.as_ref().map(consent).transpose()? else {
            return Ok(None);
        };
        // Whatever comes while it is held sets `due_at` to an instant before the lease's end.
        sqlx::query("UPDATE watch_consent SET held_until = $2, due_at = $2 WHERE profile = $1")
            .bind(claimed.profile.to_string())
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(claimed))
    }

    /// Lets go of a claimed consent, to be looked after again from `due_at` on, or at once where a change or the owner's word has
    /// come since it was claimed.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_off_consent(
        &self,
        claimed: &StoredConsent,
        due_at: UnixTime,
        failures: u32,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE watch_consent SET due_at = CASE WHEN due_at < held_until THEN due_at ELSE $2 END,
                 held_until = 0, failures = $3
             WHERE profile = $1",
        )
        .bind(claimed.profile.to_string())
        .bind(due_at.0)
        .bind(i64::from(failures))
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Notes what the owner was told of an agreement, unless another has taken its place.
    ///
    /// # Errors
    /// The database's.
    pub async fn told_of_watches(&self, of: &StoredConsent, told: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE watch_consent SET told = $2 WHERE profile = $1 AND until_day = $3 AND told = $4",
        )
            .bind(of.profile.to_string())
            .bind(told)
            .bind(of.until.to_string())
            .bind(&of.told)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Writes a watch down before its grant leaves, and has its nodes read from `now` on. False, and nothing is written, where its
    /// owner has taken the agreement back meanwhile.
    ///
    /// # Errors
    /// The database's.
    pub async fn insert_grant(
        &self,
        new: &StoredGrant,
        tally: &str,
        members: &[NodeId],
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let consent = lock_consent(&mut tx, &new.profile).await?;
        let agreed =
            consent.is_some_and(|it| it.domains.contains(&new.domain) && new.expires <= it.until);
        if !agreed {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO watch_grant (watch, profile, domain, expires, nodes, sealed)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.watch.to_string())
        .bind(new.profile.to_string())
        .bind(new.domain.as_str())
        .bind(new.expires.to_string())
        .bind(to_json(&new.nodes))
        .bind(&new.sealed)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO watch_tally (profile, domain, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (profile, domain) DO NOTHING",
        )
        .bind(new.profile.to_string())
        .bind(new.domain.as_str())
        .bind(tally)
        .execute(&mut *tx)
        .await?;
        for node in members {
            sqlx::query(
                "INSERT INTO watch_cursor (domain, node, due_at) VALUES ($1, $2, $3)
                 ON CONFLICT (domain, node) DO NOTHING",
            )
            .bind(new.domain.as_str())
            .bind(i64::from(node.get()))
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Notes which nodes hold a watch, or have not forgotten it.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_nodes(
        &self,
        watch: &Bytes32,
        ended: bool,
        nodes: &[NodeId],
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE watch_grant SET nodes = $3 WHERE watch = $1 AND ended = $2")
            .bind(watch.to_string())
            .bind(i64::from(ended))
            .bind(to_json(nodes))
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Forgets a watch that no node holds any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_grant(&self, watch: &Bytes32) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM watch_grant WHERE watch = $1")
            .bind(watch.to_string())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Changes of a profile that are no events yet, by digest.
    ///
    /// # Errors
    /// The database's.
    pub async fn changes(&self, profile: &Bytes32) -> Result<Vec<StoredChange>, StoreError> {
        let rows = sqlx::query(
            "SELECT digest, sealed, since, times FROM watch_change WHERE profile = $1 ORDER BY digest",
        )
        .bind(profile.to_string())
        .fetch_all(self.pool())
        .await?;
        let change = |row: &AnyRow| {
            Ok(StoredChange {
                digest: bytes(row, "digest")?,
                sealed: row.try_get("sealed")?,
                since: time(row, "since")?,
                times: row.try_get("times")?,
            })
        };
        rows.iter().map(change).collect()
    }

    /// Claims one node that is to be read, as [`Store::claim_task`] does.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_cursor(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<Cursor>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "watch_cursor");
        let sql = format!(
            "SELECT domain, node, seq, failures FROM watch_cursor WHERE due_at <= $1 AND held_until <= $1
             ORDER BY due_at, domain, node LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = || StoreError::Corrupt("watch_cursor");
        let node = u16::try_from(number(&row, "node")?).map_err(|_| corrupt())?;
        let cursor = Cursor {
            domain: parsed(&row, "domain")?,
            node: NodeId::new(node).map_err(|_| corrupt())?,
            seq: u64::try_from(row.try_get::<i64, _>("seq")?).map_err(|_| corrupt())?,
            failures: number(&row, "failures")?,
        };
        sqlx::query("UPDATE watch_cursor SET held_until = $3 WHERE domain = $1 AND node = $2")
            .bind(cursor.domain.as_str())
            .bind(i64::from(cursor.node.get()))
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(cursor))
    }

    /// Whether a domain has a watch that nodes may still tell of.
    ///
    /// # Errors
    /// The database's.
    pub async fn watches(&self, domain: Domain) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM watch_grant WHERE domain = $1 LIMIT 1")
            .bind(domain.as_str())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }
}

/// Agrees to be watched, in place of what was agreed before; looked after from `now` on.
///
/// # Errors
/// The database's.
pub async fn put_consent(
    tx: &mut Tx,
    profile: &Bytes32,
    domains: &[Domain],
    until: Day,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO watch_consent (profile, domains, until_day, due_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (profile) DO UPDATE SET domains = $2, until_day = $3, due_at = $4, failures = 0,
             told = CASE WHEN watch_consent.until_day = $3 AND watch_consent.told <> 'ended' THEN watch_consent.told ELSE '' END",
    )
    .bind(profile.to_string())
    .bind(to_json(domains))
    .bind(until.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a watch for its owner; `nodes` are to forget it.
///
/// # Errors
/// The database's.
pub async fn end_grant(tx: &mut Tx, watch: &Bytes32, nodes: &[NodeId]) -> Result<(), StoreError> {
    sqlx::query("UPDATE watch_grant SET ended = 1, nodes = $2 WHERE watch = $1 AND ended = 0")
        .bind(watch.to_string())
        .bind(to_json(nodes))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The consent of a profile, which this transaction is about to change; others wait.
///
/// # Errors
/// The database's.
pub async fn lock_consent(
    tx: &mut Tx,
    profile: &Bytes32,
) -> Result<Option<StoredConsent>, StoreError> {
    let sql = format!("{CONSENT} WHERE profile = $1{}", for_update(tx));
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(profile.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(consent).transpose()
}

/// Drops the consent of a profile that is over, and all that was kept for it.
///
/// # Errors
/// The database's.
pub async fn drop_consent(tx: &mut Tx, profile: &Bytes32) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM watch_change WHERE profile = $1",
        "DELETE FROM watch_tally WHERE profile = $1",
        "DELETE FROM watch_grant WHERE profile = $1",
        "DELETE FROM watch_consent WHERE profile = $1",
    ] {
        sqlx::query(sql)
            .bind(profile.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The watches of a profile.
///
/// # Errors
/// The database's.
pub async fn grants_of(tx: &mut Tx, profile: &Bytes32) -> Result<Vec<StoredGrant>, StoreError> {
    let sql = format!("{GRANT} WHERE profile = $1");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(profile.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(grant).collect()
}

/// A watch by its id.
///
/// # Errors
/// The database's.
pub async fn grant_of(tx: &mut Tx, watch: &Bytes32) -> Result<Option<StoredGrant>, StoreError> {
    let sql = format!("{GRANT} WHERE watch = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(watch.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(grant).transpose()
}

/// The sealed voices for changes of a profile's domain, which this transaction is about to change; others wait.
///
/// # Errors
/// The database's.
pub async fn lock_tally(
    tx: &mut Tx,
    profile: &Bytes32,
    domain: Domain,
) -> Result<Option<String>, StoreError> {
    let sql = format!(
        "SELECT sealed FROM watch_tally WHERE profile = $1 AND domain = $2{}",
        for_update(tx)
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(profile.to_string())
        .bind(domain.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| Ok(row.try_get("sealed")?)).transpose()
}

/// Keeps the voices.
///
/// # Errors
/// The database's.
pub async fn save_tally(
    tx: &mut Tx,
    profile: &Bytes32,
    domain: Domain,
    sealed: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE watch_tally SET sealed = $3 WHERE profile = $1 AND domain = $2")
        .bind(profile.to_string())
        .bind(domain.as_str())
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps a change that a quorum told until it becomes an event, and has its owner's consent looked after at once.
///
/// # Errors
/// The database's.
pub async fn put_change(
    tx: &mut Tx,
    profile: &Bytes32,
    change: &StoredChange,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO watch_change (profile, digest, sealed, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (profile, digest) DO UPDATE SET since = $4, times = watch_change.times + 1",
    )
    .bind(profile.to_string())
    .bind(change.digest.to_string())
    .bind(&change.sealed)
    .bind(change.since.0)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE watch_consent SET due_at = $2 WHERE profile = $1")
        .bind(profile.to_string())
        .bind(change.since.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a change away: it is an event now, or nothing follows from it. False when another worker was quicker, or it was told once
/// more meanwhile.
///
/// # Errors
/// The database's.
pub async fn take_change(
    tx: &mut Tx,
    profile: &Bytes32,
    change: &StoredChange,
) -> Result<bool, StoreError> {
    let taken =
        sqlx::query("DELETE FROM watch_change WHERE profile = $1 AND digest = $2 AND times = $3")
            .bind(profile.to_string())
            .bind(change.digest.to_string())
            .bind(change.times)
            .execute(&mut **tx)
            .await?;
    Ok(taken.rows_affected() == 1)
}

/// Notes that changes became events.
///
/// # Errors
/// The database's.
pub async fn note_fired(tx: &mut Tx, profile: &Bytes32, at: UnixTime) -> Result<(), StoreError> {
    sqlx::query("UPDATE watch_consent SET fired_at = $2 WHERE profile = $1")
        .bind(profile.to_string())
        .bind(at.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Moves a node's cursor to what was taken of it; it is read again from `due_at` on. False when it was moved meanwhile.
///
/// # Errors
/// The database's.
pub async fn move_cursor(
    tx: &mut Tx,
    cursor: &Cursor,
    seq: u64,
    due_at: UnixTime,
    failures: u32,
) -> Result<bool, StoreError> {
    let stored = |seq: u64| i64::try_from(seq).map_err(|_| StoreError::Corrupt("watch_cursor"));
    let moved = sqlx::query(
        "UPDATE watch_cursor SET seq = $4, due_at = $5, held_until = 0, failures = $6
         WHERE domain = $1 AND node = $2 AND seq = $3",
    )
    .bind(cursor.domain.as_str())
    .bind(i64::from(cursor.node.get()))
    .bind(stored(cursor.seq)?)
    .bind(stored(seq)?)
    .bind(due_at.0)
    .bind(i64::from(failures))
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}
