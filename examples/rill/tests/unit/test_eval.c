#include "eval.h"

#include "check.h"
#include "query.h"

/* The CSV form of `SELECT expr` over one row with a = 1, b empty, c = "x". */
static void check_expr(const char *expr, const char *expected)
{
        struct text query = {0}, out = {0};

        text_printf(&query, "SELECT %s AS v FROM t", expr);
        run_query("a,b,c\n1,,x\n", query.data, OUTPUT_JSON, &out);
        const char *found = strstr(out.data, "\"v\": ");

        CHECK(found != NULL);
        if (found)
                CHECK(strncmp(found + 5, expected, strlen(expected)) == 0 && found[5 + strlen(expected)] == '}');
        text_free(&query);
        text_free(&out);
}

int main(void)
{
        static const char *const cases[][2] = {
                {"1 + 2 * 3", "7"},
                {"(1 + 2) * 3", "9"},
                {"-a - -a", "0"},
                {"7 % 4 / 2", "1.5"},
                {"1 / 0", "null"},
                {"b + 1", "null"},
                {"b = b", "null"},
                {"b IS NULL", "true"},
                {"a IS NOT NULL", "true"},
                {"NOT b", "null"},
                {"b AND FALSE", "false"},
                {"b OR TRUE", "true"},
                {"b OR FALSE", "null"},
                {"a = '1'", "true"},
                {"c > 'w' AND c < 'y'", "true"},
                {"a IN (3, 2, 1)", "true"},
                {"a IN (3, b)", "null"},
                {"a NOT IN (3, 2)", "true"},
                {"a BETWEEN 0 AND 1", "true"},
                {"a NOT BETWEEN 2 AND 3", "true"},
                {"c LIKE 'X'", "true"},
                {"c NOT LIKE '_'", "false"},
                {"c || a || b || '!'", "\"x1!\""},
                {"CASE WHEN a > 1 THEN 'big' WHEN a = 1 THEN 'one' END", "\"one\""},
                {"CASE WHEN b THEN 1 END", "null"},
                {"coalesce(b, NULL, c)", "\"x\""},
                {"upper('aé')", "\"Aé\""},
                {"length('日本')", "4"},
                {"substr('hello', 2, 3)", "\"ell\""},
                {"substr('hello', 9)", "\"\""},
                {"replace('a-b-c', '-', '--')", "\"a--b--c\""},
                {"trim('  x ')", "\"x\""},
                {"round(2.5)", "3"},
                {"round(-1.255, 1)", "-1.3"},
                {"floor(-0.5)", "-1"},
                {"abs(-3)", "3"},
                {"type(b)", "\"null\""},
                {"type(a = 1)", "\"boolean\""},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int before = check_failures;

                check_expr(cases[i][0], cases[i][1]);
                if (check_failures > before)
                        printf("  case: %s\n", cases[i][0]);
        }
        return check_end("eval");
}
