//! Accounts and transactions in the form of FDX 6: lists under `page`, entities named for their type, errors with a code.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use contracts::units::Day;
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::data::{Account, Transaction};

/// Most entities on a page.
const PAGE: usize = 3;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    start_time: Option<String>,
    end_time: Option<String>,
    offset: Option<String>,
    limit: Option<usize>,
}

fn error(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "code": code, "message": message }))
}

fn query(request: &HttpRequest) -> Option<Query> {
    web::Query::<Query>::from_query(request.query_string())
        .ok()
        .map(web::Query::into_inner)
}

/// A page of a list from `offset`, which says where the next one begins.
fn page(name: &str, all: &[Value], query: &Query) -> HttpResponse {
    let offset = match query.offset.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(offset)) if offset <= all.len() => offset,
        _ => return error(StatusCode::BAD_REQUEST, "400", "offset is not one of ours"),
    };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let items: Vec<&Value> = all.iter().skip(offset).take(limit).collect();
    let end = offset + items.len();
    let mut about = json!({ "totalElements": all.len() });
    if end < all.len() {
        about["nextOffset"] = end.to_string().into();
    }
    HttpResponse::Ok().json(json!({ "page": about, name: items }))
}

/// `GET /accounts`: those of every customer who consented.
pub(super) async fn accounts(request: HttpRequest, state: Data<Arc<State>>) -> HttpResponse {
    if !state.tokens.admits(&request) {
        return error(StatusCode::UNAUTHORIZED, "401", "token is not good");
    }
    let Some(query) = query(&request) else {
        return error(StatusCode::BAD_REQUEST, "400", "query");
    };
    let all: Vec<Value> = state
        .records
        .0
        .iter()
        .flat_map(|entry| &entry.accounts)
        .map(account)
        .collect();
    page("accounts", &all, &query)
}

fn account(account: &Account) -> Value {
    let (entity, kind) = match account.loan {
        true => ("loanAccount", "LOAN"),
        false => ("depositAccount", "CHECKING"),
    };
    json!({ entity: {
        "accountId": account.id,
        "accountCategory": if account.loan { "LOAN_ACCOUNT" } else { "DEPOSIT_ACCOUNT" },
        "accountType": kind,
        "status": account.status,
        "currency": { "currencyCode": "USD" },
    } })
}

/// `GET /accounts/{id}/transactions`.
pub(super) async fn transactions(
    request: HttpRequest,
    id: web::Path<String>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !state.tokens.admits(&request) {
        return error(StatusCode::UNAUTHORIZED, "401", "token is not good");
    }
    let accounts = state.records.0.iter().flat_map(|entry| &entry.accounts);
    let mut deposits = accounts.filter(|account| !account.loan && account.id == *id);
    let Some(account) = deposits.next() else {
        return error(StatusCode::NOT_FOUND, "701", "Account not found");
    };
    let Some(query) = query(&request) else {
        return error(StatusCode::BAD_REQUEST, "400", "query");
    };
    // A time's day is its first ten characters.
    let day = |time: &Option<String>, otherwise: i64| match time {
        None => Day::from_number(otherwise).ok(),
        Some(time) => time.get(..10).and_then(|day| day.parse().ok()),
    };
    let last = 109_572;
    let (Some(from), Some(to)) = (day(&query.start_time, 0), day(&query.end_time, last)) else {
        return error(StatusCode::BAD_REQUEST, "702", "Invalid start or end date");
    };
    if from > to {
        return error(StatusCode::BAD_REQUEST, "703", "Invalid date range");
    }
    let all: Vec<Value> = account
        .transactions
        .iter()
        .filter(|it| (from..=to).contains(&it.day))
        .map(|it| transaction(account, it))
        .collect();
    page("transactions", &all, &query)
}

fn transaction(account: &Account, it: &Transaction) -> Value {
    // A number, as the bank writes it.
    let amount: Value = serde_json::from_str(&it.dollars).unwrap_or(Value::Null);
    json!({ "depositTransaction": {
        "accountId": account.id,
        "transactionId": it.id,
        "postedTimestamp": format!("{}T12:00:00.000Z", it.day),
        "transactionType": it.kind,
        "debitCreditMemo": it.memo,
        "status": it.status,
        "amount": amount,
    } })
}
