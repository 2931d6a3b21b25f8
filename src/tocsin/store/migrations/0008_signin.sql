-- People who sign in: accounts, their sessions, links that work once, and how often somebody may try.
-- These are the installation's and no tenant's: what a person may do in a tenant is their row in `member`.

CREATE TABLE account (
  user_id     TEXT PRIMARY KEY,
  email       TEXT NOT NULL UNIQUE,           -- in small letters
  name        TEXT NOT NULL,
  password    TEXT NOT NULL,                  -- argon2id, in its own notation; '' where somebody else knows them
  home_tenant TEXT NOT NULL,                  -- whose admin vouched for the address: it counts there alone; '' everywhere
  is_operator SMALLINT NOT NULL DEFAULT 0 CHECK (is_operator IN (0, 1)),
  issuer      TEXT NOT NULL DEFAULT '',       -- who else knows them (OpenID Connect), and as whom
  subject     TEXT NOT NULL DEFAULT '',
  created_ms  BIGINT NOT NULL,
  password_ms BIGINT                          -- when the password was set
);
CREATE UNIQUE INDEX account_subject ON account (issuer, subject) WHERE subject <> '';

CREATE TABLE session (
  hash       BYTEA PRIMARY KEY,               -- SHA-256 of the cookie; the cookie itself is kept nowhere
  id         TEXT NOT NULL UNIQUE,
  user_id    TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,
  role       TEXT NOT NULL,                   -- the member's when it began: another role needs another session
  how        TEXT NOT NULL,                   -- password, oidc
  address    TEXT NOT NULL,
  agent      TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  seen_ms    BIGINT NOT NULL,                 -- to the minute
  ends_ms    BIGINT NOT NULL                  -- whatever is done with it
);
CREATE INDEX session_owner ON session (user_id);

CREATE TABLE one_time_link (
  hash       BYTEA PRIMARY KEY,               -- SHA-256 of what the link carries
  kind       TEXT NOT NULL CHECK (kind IN ('setup', 'password')),
  user_id    TEXT NOT NULL,
  email      TEXT NOT NULL,
  name       TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,                   -- whose admin made it; '' the operator
  expires_ms BIGINT NOT NULL
);

-- How often a thing may happen, as one number: when the tries made so far are paid off (GCRA).
CREATE TABLE sign_in_pace (
  key    TEXT PRIMARY KEY,
  tat_ms BIGINT NOT NULL
);

-- What came back from another issuer comes back once.
CREATE TABLE used_state (
  hash       BYTEA PRIMARY KEY,
  expires_ms BIGINT NOT NULL
);
