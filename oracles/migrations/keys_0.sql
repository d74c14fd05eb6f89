-- A node's share of a committee key. `sealed` is the FROST key package under the operator key.
-- status: 'pending' until every member has confirmed the same transcript, then 'active'.
CREATE TABLE key_share (
    key_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    status TEXT NOT NULL,
    members TEXT NOT NULL,
    threshold BIGINT NOT NULL,
    transcript TEXT NOT NULL,
    public_package TEXT NOT NULL,
    sealed TEXT NOT NULL,
    confirmations TEXT NOT NULL,
    PRIMARY KEY (key_id, epoch)
);
