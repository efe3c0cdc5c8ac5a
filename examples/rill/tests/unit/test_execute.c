#include "check.h"
#include "query.h"

static const char people[] = "name,team,points\nAda,red,12\nGrace,blue,30\nLinus,red,7\nBrian,blue,25\nAlan,,19\n";

static void check_query(const char *query, const char *expected)
{
        struct text out = {0};

        run_query(people, query, OUTPUT_CSV, &out);
        CHECK_TEXT(out.data, expected);
        text_free(&out);
}

int main(void)
{
        check_query("SELECT name FROM t WHERE points > 20", "name\nGrace\nBrian\n");
        check_query("SELECT * FROM t LIMIT 1", "name,team,points\nAda,red,12\n");
        check_query("SELECT name n FROM t ORDER BY points DESC LIMIT 2 OFFSET 1", "n\nBrian\nAlan\n");
        check_query("SELECT DISTINCT team FROM t ORDER BY team", "team\n\nblue\nred\n");
        check_query("SELECT team, count(*), sum(points) s FROM t GROUP BY team ORDER BY s DESC",
                    "team,count(*),s\nblue,2,55\n,1,19\nred,2,19\n");
        check_query("SELECT team FROM t GROUP BY team HAVING max(points) >= 19 ORDER BY 1", "team\n\nblue\n");
        check_query("SELECT count(*), count(team), count(DISTINCT team), avg(points), min(name), max(name) FROM t",
                    "count(*),count(team),count(DISTINCT team),avg(points),min(name),max(name)\n5,4,2,18.6,Ada,Linus\n");
        check_query("SELECT count(*) n, sum(points) s FROM t WHERE points > 100", "n,s\n0,\n");
        check_query("SELECT points % 2 AS odd, count(*) FROM t GROUP BY odd ORDER BY odd", "odd,count(*)\n0,2\n1,3\n");
        check_query("SELECT sum(points) / count(*) AS mean FROM t", "mean\n18.6\n");
        check_query("SELECT name FROM t ORDER BY length(name), name", "name\nAda\nAlan\nBrian\nGrace\nLinus\n");
        return check_end("execute");
}
