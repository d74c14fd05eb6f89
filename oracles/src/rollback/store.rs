//! The marks of this node and of its peers, in its database.

use contracts::encoding::Bytes;
use contracts::ids::{Committee, NodeId};
use contracts::units::UnixTime;
use sqlx::{AnyPool, Row as _};

use super::message::SignedMark;
use crate::db::{self, DbError};
use crate::peer::RunId;

/// This node's own state on one committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Own {
    pub(super) mark: u64,
    pub(super) behind_until: Option<UnixTime>,
}

/// What a peer is remembered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) run: RunId,
    pub(super) mark: Option<SignedMark>,
}

#[derive(Clone)]
pub(super) struct Store(AnyPool);

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Store {
    pub(super) async fn open(pool: AnyPool) -> Result<Self, DbError> {
        db::migrate(&pool, "rollback", &[include_str!("schema.sql")]).await?;
        Ok(Self(pool))
    }

    pub(super) fn pool(&self) -> &AnyPool {
        &self.0
    }

    pub(super) async fn own(&self, committee: Committee) -> Result<Own, DbError> {
        let row = sqlx::query("SELECT mark, behind_until FROM rollback_own WHERE committee = $1")
            .bind(committee.as_str())
            .fetch_optional(&self.0)
            .await?;
        Ok(row.map_or_else(Own::default, |row| Own {
            mark: loaded(row.get(0)),
            behind_until: row.get::<Option<i64>, _>(1).map(UnixTime),
        }))
    }

    /// Takes the next mark. Durable when this returns.
    pub(super) async fn raise(&self, committee: Committee) -> Result<u64, DbError> {
        let row = sqlx::query(
            "INSERT INTO rollback_own (committee, mark) VALUES ($1, 1)
             ON CONFLICT (committee) DO UPDATE SET mark = rollback_own.mark + 1 RETURNING mark",
        )
        .bind(committee.as_str())
        .fetch_one(&self.0)
        .await?;
        Ok(loaded(row.get(0)))
    }

    /// Goes on from a mark that this node no longer remembers to have given, and is behind until an instant.
    pub(super) async fn fall_behind(
        &self,
        committee: Committee,
        mark: u64,
        until: UnixTime,
    ) -> Result<(), DbError> {
        sqlx::query(
            "INSERT INTO rollback_own (committee, mark, behind_until) VALUES ($1, $2, $3)
             ON CONFLICT (committee) DO UPDATE SET mark = $2, behind_until = $3",
        )
        .bind(committee.as_str())
        .bind(stored(mark))
        .bind(until.0)
        .execute(&self.0)
        .await?;
        // Others may have started since: whoever speaks next is taken for the present run.
        sqlx::query("UPDATE rollback_peer SET run = '' WHERE committee = $1")
            .bind(committee.as_str())
            .execute(&self.0)
            .await?;
        Ok(())
    }

    pub(super) async fn caught_up(&self, committee: Committee) -> Result<(), DbError> {
        sqlx::query("UPDATE rollback_own SET behind_until = NULL WHERE committee = $1")
            .bind(committee.as_str())
            .execute(&self.0)
            .await?;
        Ok(())
    }

    pub(super) async fn peer(
        &self,
        committee: Committee,
        node: NodeId,
    ) -> Result<Option<Remembered>, DbError> {
        let row = sqlx::query(
            "SELECT run, mark, signature FROM rollback_peer WHERE committee = $1 AND node = $2",
        )
        .bind(committee.as_str())
        .bind(i64::from(node.get()))
        .fetch_optional(&self.0)
        .await?;
        Ok(row.and_then(|row| {
            let signature = Bytes::parse(&row.get::<String, _>(2)).ok();
            Some(Remembered {
                run: Bytes::parse(&row.get::<String, _>(0)).ok()?,
                mark: signature.map(|signature| SignedMark {
                    committee,
                    mark: loaded(row.get(1)),
                    signature,
                }),
            })
        }))
    }

    /// Remembers the run that a peer started.
    pub(super) async fn started(
        &self,
        committee: Committee,
        node: NodeId,
        run: &RunId,
    ) -> Result<(), DbError> {
        sqlx::query(
            "INSERT INTO rollback_peer (committee, node, run, mark, signature) VALUES ($1, $2, $3, 0, '')
             ON CONFLICT (committee, node) DO UPDATE SET run = $3",
        )
        .bind(committee.as_str())
        .bind(i64::from(node.get()))
        .bind(run.to_string())
        .execute(&self.0)
        .await?;
        Ok(())
    }

    /// Remembers a peer's marks where each is its highest, of its present run; a peer that is not known to have started is
    /// taken to have started this one. Tells of each whether it is remembered. Durable when this returns.
    pub(super) async fn witness(
        &self,
        node: NodeId,
        run: &RunId,
        marks: &[SignedMark],
    ) -> Result<Vec<bool>, DbError> {
        let mut transaction = db::begin_write(&self.0).await?;
        let mut remembered = Vec::with_capacity(marks.len());
        for mark in marks {
            let written = sqlx::query(
                "INSERT INTO rollback_peer (committee, node, run, mark, signature) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (committee, node) DO UPDATE SET
                     run = $3,
                     signature = CASE WHEN rollback_peer.mark < $4 THEN $5 ELSE rollback_peer.signature END,
                     mark = CASE WHEN rollback_peer.mark < $4 THEN $4 ELSE rollback_peer.mark END
                 WHERE rollback_peer.run IN ($3, '')",
            )
            .bind(mark.committee.as_str())
            .bind(i64::from(node.get()))
            .bind(run.to_string())
            .bind(stored(mark.mark))
            .bind(mark.signature.to_string())
            .execute(&mut *transaction)
            .await?;
            remembered.push(written.rows_affected() == 1);
        }
        transaction.commit().await?;
        Ok(remembered)
    }
}
