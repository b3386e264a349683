//! `s3bundler`.
fn main() {}
