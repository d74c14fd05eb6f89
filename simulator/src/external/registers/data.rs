//! What the bank and the offices hold.

use contracts::units::Day;
use serde::Deserialize;

use super::super::Result;
use super::super::fixture::{parse, people, relative_day};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    person: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    person_id: String,
    licence: String,
    #[serde(default)]
    account: Vec<AccountRow>,
    #[serde(default)]
    address: Vec<AddressRow>,
    /// Wages of quarters that are over: how many quarters ago, employer, dollars.
    #[serde(default)]
    wages: Vec<(i64, String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRow {
    account_id: String,
    status: String,
    #[serde(default)]
    loan: bool,
    /// Day, type, `CREDIT` or `DEBIT`, status, dollars.
    #[serde(default)]
    transactions: Vec<(String, String, String, String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressRow {
    #[serde(rename = "use")]
    kind: String,
    state: String,
    since: String,
}

/// A transaction of an account.
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) day: Day,
    pub(super) kind: String,
    pub(super) memo: String,
    pub(super) status: String,
    /// As the bank writes it.
    pub(super) dollars: String,
}

/// An account.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) loan: bool,
    /// Latest first.
    pub(super) transactions: Vec<Transaction>,
}

/// Where somebody lives or gets mail.
pub(super) struct Address {
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) since: Day,
}

/// Wages of a quarter.
pub(super) struct Wage {
    pub(super) year: i32,
    pub(super) quarter: u8,
    pub(super) employer: String,
    pub(super) dollars: String,
}

/// One person in all registers.
pub(super) struct Entry {
    pub(super) person_id: String,
    pub(super) licence: String,
    pub(super) ssn: String,
    pub(super) full_name: String,
    pub(super) birth_date: Day,
    pub(super) accounts: Vec<Account>,
    pub(super) addresses: Vec<Address>,
    pub(super) wages: Vec<Wage>,
}

/// Everybody.
pub(super) struct Records(pub(super) Vec<Entry>);

impl Records {
    pub(super) fn load(day_zero: Day) -> Result<Self> {
        let file: File = parse(
            "registers.toml",
            include_str!("../../../../fixtures/registers.toml"),
        )?;
        let people = people(day_zero)?;
        let bad = |detail: String| {
            super::super::ExternalError::Data(format!("fixtures/registers.toml: {detail}"))
        };
        let mut entries = Vec::new();
        for row in file.person {
            let person = people.iter().find(|person| person.id == row.id);
            let person = person.ok_or_else(|| bad(format!("nobody is called {}", row.id)))?;
            let day = |text: &str| relative_day(text, day_zero);
            let account = |row: AccountRow| -> Result<Account> {
                let mut transactions = Vec::new();
                for (at, (when, kind, memo, status, dollars)) in
                    row.transactions.into_iter().enumerate()
                {
                    transactions.push(Transaction {
                        id: format!("{}-{at}", row.account_id),
                        day: day(&when)?,
                        kind,
                        memo,
                        status,
                        dollars,
                    });
                }
                transactions.sort_by_key(|one| std::cmp::Reverse(one.day));
                Ok(Account {
                    id: row.account_id,
                    status: row.status,
                    loan: row.loan,
                    transactions,
                })
            };
            let address = |row: AddressRow| {
                Ok(Address {
                    kind: row.kind,
                    state: row.state,
                    since: day(&row.since)?,
                })
            };
            let wage = |(ago, employer, dollars): (i64, String, String)| {
                let (year, quarter) = quarters_before(day_zero, ago);
                Wage {
                    year,
                    quarter,
                    employer,
                    dollars,
                }
            };
            let birth_date = person.birth_date.parse::<Day>();
            entries.push(Entry {
                person_id: row.person_id,
                licence: row.licence,
                ssn: person.ssn.clone(),
                full_name: format!("{} {}", person.given_name, person.family_name),
                birth_date: birth_date.map_err(|_| bad(format!("{}: birth date", row.id)))?,
                accounts: row
                    .account
                    .into_iter()
                    .map(account)
                    .collect::<Result<_>>()?,
                addresses: row
                    .address
                    .into_iter()
                    .map(address)
                    .collect::<Result<_>>()?,
                wages: row.wages.into_iter().map(wage).collect(),
            });
        }
        Ok(Self(entries))
    }
}

/// The quarter so many before the one that `day` is in.
pub(super) fn quarters_before(day: Day, ago: i64) -> (i32, u8) {
    let date = day.date();
    let quarter = i64::from((u8::from(date.month()) - 1) / 3);
    let index = i64::from(date.year()) * 4 + quarter - ago;
    let year = i32::try_from(index.div_euclid(4)).unwrap_or(date.year());
    (year, u8::try_from(index.rem_euclid(4) + 1).unwrap_or(1))
}
