-- Money: written by rating, read by everyone. Amounts are in the account's currency.

CREATE SCHEMA money;

-- The balance is what the party has with us: a customer's falls with calls, a vendor's rises.
CREATE TABLE money.account (
  account_id text PRIMARY KEY,
  balance numeric(28, 10) NOT NULL DEFAULT 0,
  leased numeric(28, 10) NOT NULL DEFAULT 0 CHECK (leased >= 0),  -- sum of its leases
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Money set aside for one rating process to reserve from. Sum of leases never exceeds balance + credit limit.
CREATE TABLE money.lease (
  id text PRIMARY KEY,
  account_id text NOT NULL REFERENCES money.account,
  holder text NOT NULL,                 -- rating node and its start
  amount numeric(28, 10) NOT NULL CHECK (amount >= 0),
  expires_at timestamptz NOT NULL
);
CREATE INDEX lease_of_account ON money.lease (account_id);
CREATE INDEX lease_expiry ON money.lease (expires_at);

-- The double-entry ledger: one row moves one amount from one book to another, so it always balances.
-- Books: an account id, or 'revenue', 'cost', 'cash', 'correction'.
CREATE TABLE money.transfer (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text NOT NULL UNIQUE,             -- 'cal_…/customer', 'cal_…/vendor', 'pay_…': booked once, however often asked
  debit text NOT NULL,
  credit text NOT NULL CHECK (credit <> debit),
  amount numeric(28, 10) NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('call', 'payment', 'correction')),
  call_id text,
  note text NOT NULL DEFAULT '',
  actor text NOT NULL DEFAULT '',
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transfer_debit ON money.transfer (debit, id);
CREATE INDEX transfer_credit ON money.transfer (credit, id);

GRANT USAGE ON SCHEMA money TO tandem_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA money TO tandem_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA money TO tandem_rating;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA money TO tandem_rating;
