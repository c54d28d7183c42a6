//! Who may join, read and write.

mod client_kick;
mod client_passwords;
mod identity;
mod kick;
mod passwords;
mod rights;
mod roles;
mod table;
mod tokens;
