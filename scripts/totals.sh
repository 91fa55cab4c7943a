# shellcheck shell=bash
# Sourced by the demos, never run: what the CDNOW purchases of examples/cdnow.csv must come to.

AS_OF=1998-06-30

# check_totals URL: reads the trial balance as CSV and compares it with what the purchases must give: account, then debit
# less credit. Uses $binary.
check_totals() {
    "$binary" trial-balance --url "$1" --book demo --as-of "$AS_OF" --format csv | awk '
        function cell(name) { return fields[column[name]] }
        # RFC 4180: a quoted cell may hold commas and doubled quotes.
        function split_csv(line,    i, c, n, quoted, text) {
            delete fields; n = 1; text = ""; quoted = 0
            for (i = 1; i <= length(line); i++) {
                c = substr(line, i, 1)
                if (c == "\"") {
                    if (quoted && substr(line, i + 1, 1) == "\"") { text = text c; i++ } else quoted = !quoted
                } else if (c == "," && !quoted) { fields[n++] = text; text = "" } else text = text c
            }
            fields[n] = text
            return n
        }
        function amount(text) { return text == "" ? "0.00" : text }
        BEGIN {
            want["assets:processor-clearing"] = "2500315.63 0.00"
            want["assets:receivable"] = "0.00 0.00"
            want["liabilities:unapplied-cash"] = "0.00 0.00"
            want["revenue:sales"] = "0.00 2500315.63"
        }
        { sub(/\r$/, "") }
        NR == 1 { n = split_csv($0); for (i = 1; i <= n; i++) column[fields[i]] = i; next }
        {
            split_csv($0)
            account = cell("account")
            # A totals row, where there is one, names no account.
            if (account !~ /:/) next
            got = amount(cell("debit")) " " amount(cell("credit"))
            seen[account] = 1
            if (!(account in want)) { print "unexpected row: " account " " got; bad = 1 }
            else if (got != want[account] || cell("currency") != "USD") {
                print "" account ": debit and credit are " got " " cell("currency") ", not " want[account] " USD"; bad = 1
            }
        }
        END {
            # An account that nothing was ever posted to has no row: nothing was left unapplied.
            delete want["liabilities:unapplied-cash"]
            for (account in want) if (!(account in seen)) {
                print "no row for " account; bad = 1
            }
            exit bad
        }' >&2
}
