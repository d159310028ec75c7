"""The language of chat templates, piece by piece, against Jinja as transformers sets it up: every filter, test, method and operator
over values of every kind, every statement, and mistakes of every kind. Text must be equal; what one refuses the other must refuse."""

import pytest
from template_oracle import differences, lathe_render

VARIABLES = {
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "n": 2}],
    "none": None,
    "yes": True,
    "no": False,
    "zero": 0,
    "seven": 7,
    "neg": -5,
    "half": 2.5,
    "third": 1 / 3,
    "big": 1e20,
    "tiny": 1e-7,
    "empty": "",
    "word": "Hello World",
    "text": "  it's  a-b (c) \n\tline2\r\nline3\n",
    "uni": "Ünï ΑΒΓ жар 你好 \u00a0\u200b👩‍🚀",
    "html": "<a href=\"/x\\\">&'",
    "num": " 42 ",
    "nums": [3, 1, 2],
    "strs": ["b", "A", "c", "a"],
    "mixed": [1, "a", None, True, 2.5],
    "nested": [[1, 2], [3]],
    "l0": [],
    "d0": {},
    "d": {"b": 1, "a": 2, "C": 3},
    "dd": {"x": {"y": [10, 20]}, "items": "hidden", "pop": 1, "k-1": "v"},
    "people": [{"name": "Bo", "age": 3, "t": {"k": 1}}, {"name": "al", "age": 2, "t": {"k": 0}}, {"name": "Cy", "age": 3}],
}
VALUES = """none yes zero seven neg half third big tiny empty word text uni html num nums strs mixed nested l0 d0 d dd people
    missing (1,2) range(4) d.items() nums|map('string') html|safe namespace(a=1)""".split()
FEW = "none yes seven neg half empty word uni nums d missing (1,2) nums|map('string')".split()

FILTERS = r"""
    abs attr('a') capitalize center center(20) d('x') d('x',true) default e escape float float(1.5) forceescape int int(9)
    int(base=16) lower replace('a','b') replace('l','L',1) replace('','-') round round(1) round(2,'ceil') round(0,'floor') round(-1)
    safe string title tojson tojson(indent=2) tojson(true) tojson(indent='\t') tojson(separators=(',',':')) tojson(sort_keys=true)
    tojson(indent=0) trim trim('H') truncate(8) truncate(8,true) truncate(9,false,'..',0) upper count length first last list
    dictsort dictsort(true) dictsort(by='value') dictsort(reverse=true) items|list join join(',') join('-','name')
    join(attribute='age') max min sort sort(true) sort(reverse=true,case_sensitive=true) sort(attribute='age')
    sort(attribute='age,name') sort(attribute=0) reverse|list sum sum(start=10) sum('age') sum(attribute='age') unique|list
    unique(true)|list unique(attribute='age')|list batch(2)|list batch(2,'x')|list slice(2)|list slice(3,'y')|list groupby('age')
    groupby('age',default=0) map('upper')|list map('string')|list map(attribute='name')|list map(attribute='t.k',default=-1)|list
    map('default','z')|list map(attribute=0)|list select|list select('string')|list select('gt',1)|list reject|list
    reject('string')|list selectattr('age')|list selectattr('age','eq',3)|list selectattr('t','defined')|list
    rejectattr('age','equalto',3)|list indent indent(2) indent(2,true) indent(2,true,true) indent('>') format format(1) format('a')
    xyz int(1,2,3) trim(a=1) default(1,2,3) select|list|length map('upper')|join(',') select('number')|sum slice(2)|map('list')|list
    map|list select('nosuch')|list map('nosuch')|list list|first list|last""".split()
TESTS = """
    defined undefined none string mapping iterable sequence number integer float boolean true false callable odd even lower upper
    escaped divisibleby(2) divisibleby(0) eq(7) equalto('a') ne(1) lt(3) gt(2) ge(2.5) le(7) in([7,'a']) in('Hello') sameas(none)
    sameas(true) nosuch eq eq(1,2) defined(1)""".split()
METHODS = r"""
    strip() strip('H\ ') lstrip() rstrip('d\n') strip(none) strip(1) removeprefix('He') removesuffix('ld') split() split('l')
    split('l',1) split(none,1) split('') split(sep='o') split(maxsplit=1) rsplit() rsplit('l',1) rsplit(none,1) partition('o')
    rpartition('o') partition('zz') rpartition('zz') partition('') splitlines() splitlines(true) join(['a','b']) join('xyz') join([1])
    replace('l','L') replace('l','L',1) replace('','_') replace('l') upper() lower() casefold() title() capitalize() swapcase()
    center(30) center(31,'*') ljust(30) rjust(30,'-') zfill(30) startswith('He') startswith(('x','He')) startswith(['He'])
    startswith(1) endswith('ld') endswith('') find('o') find('o',5) find('o',5,6) find('zz') rfind('o') index('o') index('zz')
    rindex('o') count('l') count('') isdigit() isalpha() isalnum() isspace() isascii() isupper() islower() isnumeric()
    format(1,2) nosuch() items()|list keys()|list values()|list get('a') get('zz') get('zz',5) get() copy() index(1) count(1)
    index('A') append(1) pop() upper(1) strip(chars='H') get(key='a')""".split()
OPERATORS = "+ - * / // % ** ~ == != < <= > >= in and or".split() + ["not in"]
EXPRESSIONS = """
    V[0] V[-1] V[9] V['a'] V.a V['k'] V[1:] V[:-1] V[::-1] V[::2] V[-2:] V[1:1] V[5:1:-2] V[none:2]
    -V +V V.0 V.pop V() V.a.b [V] (V,) {V:1} {'k':V}""".split() + [
    "not V",
    "V if V",
    "'t' if V else 'f'",
    "V is defined and V",
    "V.update is defined",
]
LOOPS = [
    "{% for x in V %}{{ loop.index }}:{{ x }},{% else %}E{% endfor %}",
    "{% for k, w in V %}{{ k }}={{ w }};{% endfor %}",
    "{% set a, b = V %}{{ a }}{{ b }}",
    "{% for x in V if x %}{{ x }}{{ loop.last }}{{ loop.revindex0 }}{% endfor %}",
]
BRACES = r"""{} {}{} {0}{1}{0} {a} {:>6} {:<6}| {:^6}| {:*^7} {:06} {:+} {:x} {:#x} {:b} {:o} {:,} {:.2f} {:8.3f} {:e} {:g} {:%}
    {:d} {:s} {:.2s} {!r} {!s:>9} {{}} { } {0.a} {0[0]} {0[a]} {5} {:=+7} {:.3} {:,.2f} {!x}""".split()
PERCENTS = r"""%s %d %5d| %-5d| %05d %+d %x %#x %X %o %.2f %8.3f %e %g %r %5s| %-5s| %.2s %% %i %(a)s %(a)s%(b)s %s%s % %z none""".split()
FORMATTED = "seven neg half word none yes nums d uni 0 third".split()


def check(templates):
    wrong = differences([(text, VARIABLES) for text in templates])
    # What Python prints with an address cannot be equal.
    wrong = [(job[0], str(w)[:200], str(f)[:200]) for job, w, f in wrong if " at 0x" not in str(w).lower()]
    assert not wrong, f"{len(wrong)} of {len(templates)} differ: {wrong[:5]}"


def output(expression):
    return "{{ " + expression + " }}"


def test_filters():
    assert len(FILTERS) > 100
    is_odd = lambda value, name: value.startswith("nums|") and "replace" in name
    check([output(f"{value}|{name}") for name in FILTERS for value in VALUES if not is_odd(value, name)])


def test_tests():
    check([output(f"{value} is {name}") + output(f"{value} is not {name}") for name in TESTS for value in VALUES])


def test_methods():
    check([output(f"{value}.{name}") for name in METHODS for value in VALUES if "|" not in value])
    check([output(f"({value}).{name}") for name in METHODS for value in VALUES if "|" in value])


def test_operators():
    # Python makes sets and complex numbers where lathe refuses.
    is_odd = lambda a, op, b: (op == "**" and a == "neg") or "items()" in (a + b)
    check([output(f"({a}) {op} ({b})") for op in OPERATORS for a in FEW for b in FEW if not is_odd(a, op, b)])


def test_expressions_and_loops():
    shapes = [output(text) for text in EXPRESSIONS] + LOOPS
    # A slice of the literal none is folded by Jinja before it can fail.
    pairs = [(text, v) for text in shapes for v in VALUES if not (v == "none" and ":" in text and "[" in text)]
    check([text.replace("V", f"({v})" if "|" in v else v) for text, v in pairs])


def test_formats():
    check([output(f"{text!r}.format({v}, 'second', a='named')") for text in BRACES for v in FORMATTED])
    values = FORMATTED + ["(1,2)", "(7,)", "()"]
    check([output(f"{text!r} % {v}") for text in PERCENTS for v in values])
    check([output(f"{text!r}|format({v})") for text in PERCENTS for v in values])


# One template a line.
LINES = r"""
a {%- if yes %} b {%- endif %} c
a {% if yes -%} b {% endif -%} c
  {% if yes %}
  x
  {% endif %}
y
  {%+ if yes %}
z
  {{ seven }}
  {{- seven -}}
  end
a{# c #}b {#- d -#} e {# "}} %} #}

x
#}
{% raw %}{{ x }} {% if %}{% endraw %}
{%- raw -%}  {{ x }} {%- endraw -%}  z
a
{% endraw %}
b
  {% raw %}  x
  {% endraw %}
{{ "}}" }}{{ '%}' }}{{ "{{" }}
{{ {'a': {'b': 1}} }}{{ {'a':{'b':2}}['a']['b'] }}
{{{'a':1}['a']}}
{% set x = {'a': [1, {'b': '}'}]} %}{{ x }}
{{ .5 }}
{{ 5. }}
{{ "a\n\t\x41\u00e9\U0001F600\101\0\q\\" }}
{{ 'it\'s' "two" 'three' }}
{{ "\N{BULLET}" if no }}
{% if seven %}1{% elif no %}2{% elif yes %}3{% else %}4{% endif %}
{% if no %}1{% elif none %}2{% elif yes %}3{% else %}4{% endif %}
{% if no %}1{% elif none %}2{% else %}4{% endif %}
{% for i in nums %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% if loop.last %}.{% endif %}{% endfor %}
{% for i in nums %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endfor %}!
{% for i in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }}|{% endfor %}
{% for i in nums %}{{ loop.cycle('a','b') }}{{ loop.changed(i > 1) }}{% endfor %}
{% for i in nums %}{% for j in strs %}{{ loop.depth }}{{ i }}{{ j }}{% endfor %}{{ loop.index }}{% endfor %}
{% for i in nums %}{% set y = i %}{% endfor %}{{ y }}
{% set y = 1 %}{% for i in nums %}{% set y = i %}{{ y }}{% endfor %}{{ y }}
{% set ns = namespace(y=0, z='q') %}{% for i in nums %}{% set ns.y = ns.y + i %}{% endfor %}{{ ns.y }}{{ ns.z }}{{ ns.nope is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}{{ ns }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set (a, b) = [1, 2] %}{{ a }}{{ b }}
{% set x %}body {{ seven }}{% endset %}[{{ x }}]
{% set x | upper | trim %} body {{ seven }} {% endset %}[{{ x }}]
{% if yes %}{% set q = 5 %}{% endif %}{{ q }}
{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(c=9, a=8) }} {{ m() }}
{% macro m(a, b=2) %}{{ a }}{% endmacro %}{{ m(1,2,3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, z=3) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, z=3) }}
{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call m(1) %}in {{ seven }}{% endcall %}
{% macro m(a) %}{{ caller(a, 'k') }}{% endmacro %}{% call(u, v) m(1) %}<{{ u }}{{ v }}>{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m(*args) %}{% endmacro %}
{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(5, **{'b': 6}) }}{{ m(*[1], b=2) }}
{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1) }}{{ y }}
{% macro m() %}{{ later }}{% endmacro %}{% set later = 7 %}{{ m() }}
{% macro m(x) -%} pad {%- endmacro %}[{{ m(1) }}]{{ m is callable }}
{% filter upper %}abc {{ word }}{% endfilter %}
{% filter replace('a', 'b') | upper %}abc{% endfilter %}
{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set z = 3 %}{{ z }}{% endwith %}{{ z }}
{% generation %}hi {% set z = 1 %}{% endgeneration %}{{ z }}
{% generation -%} hi {%- endgeneration %}
{% for m in messages %}{{ m.role }}:{{ m['content'] }}{{ m.n }}{{ m.get('n', 'none') }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}{% for k, v in d|dictsort %}{{ k }}={{ v }},{% endfor %}{% for k in d %}{{ k }}{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %}
{% for x in nums if x > 1 %}{{ x }}{{ loop.length }}{% else %}none{% endfor %}
{% for x in nums if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for x in missing %}{{ x }}{% else %}none{% endfor %}
{% for x in seven %}{{ x }}{% endfor %}
{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}
{% for x in 'añ😀' %}{{ x }},{% endfor %}
{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}
{{ 1, 2 }}{{ (1,) }}{{ () }}{{ [] }}{{ {} }}
{{ 1 if yes }}{{ 1 if no }}{{ 1 if no else 2 if no else 3 }}
{{ not no and yes or no }}{{ no or none or 'z' }}{{ 'a' and 'b' }}
{{ 1 < 2 < 3 }}{{ 1 < 2 > 3 }}{{ 1 == 1.0 == true }}
{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 2 + 3 * 4 ~ 'x' }}{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}
{{ 'a' ~ 1 ~ none ~ 2.0 ~ true ~ missing ~ [1] }}
{{ 'x' in 'xyz' }}{{ 'q' not in 'xyz' }}{{ 1 in nums }}{{ 'b' in d }}{{ not 1 in nums }}
{{ nums[0] }}{{ nums[-1] }}{{ nums[1:] }}{{ nums[:1] }}{{ nums[::-1] }}{{ word[1:4] }}{{ word[-3:] }}{{ uni[::-1] }}
{{ people[0].name }}{{ people[0]['t'].k }}{{ people.0.name }}{{ dd.x.y.1 }}
{{ dd['items'] }}{{ dd.pop }}{{ dd['pop'] }}{{ dd['k-1'] }}
{{ missing.a }}
{{ missing['a'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ missing < 1 }}
{{ missing == missing }}{{ missing is defined }}{{ missing|default('q') }}{{ missing is none }}
{{ none.a }}{{ none.a.b }}
{{ seven.a }}{{ word.a }}{{ word.a.b }}
{{ raise_exception('stop it') }}
{{ raise_exception('x: ' ~ seven) if no else 'fine' }}
{{ raise_exception() }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %d %B %b %a %A %y %j %p %I %%') }}
{{ strftime_now('%d %b %Y') }}{{ strftime_now('') }}{{ strftime_now('é %Z%z%f') }}
{{ strftime_now() }}
{{ range(3) }}{{ range(1, 4)|list }}{{ range(5, 0, -2)|list }}{{ range(0) }}
{{ range(200000) }}
{{ range('a') }}
{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }}{{ dict({'q': 1}, r=2) }}{{ dict() }}
{{ 'x'|nosuch }}
{% if no %}{{ 'x'|nosuch }}{% endif %}
{{ 'x'|nosuch if no else 'y' }}
{% for i in [] %}{{ 'x'|nosuch }}{% endfor %}
{% if no %}{% for i in [] %}{{ 'x'|nosuch }}{% endfor %}{% endif %}
{% macro m() %}{{ 'x' is nosuch }}{% endmacro %}
{% if yes %}{{ 'x' is nosuch }}{% endif %}
{% if no %}{% for i in [1] if i|nosuch %}{% endfor %}{% endif %}
{% if no %}{% for i in [1]|nosuch %}{% endfor %}{% endif %}
{% if no %}{% set x | nosuch %}{% endset %}{% endif %}
{% if no %}{% filter nosuch %}{% endfilter %}{% endif %}
{% if no %}{% macro m(a=1|nosuch) %}{% endmacro %}{% endif %}
{% if no %}{% with a = 1|nosuch %}{% endwith %}{% endif %}
{{ 'x'|string.count('a') }}
{{ 'a' is string and 5 is number and none is none and missing is undefined }}
{{ 'a' is in ['a'] }}{{ 4 is divisibleby 2 }}{{ 4 is divisibleby(3) }}{{ 5 is odd }}{{ 5 is not even }}{{ 1 is sameas 1 }}
{{ 'a' is eq 'a' }}{{ 5 is gt 3 }}{{ [1] is sequence }}{{ {} is mapping }}
{{ d|length }}{{ d|list }}{{ d.keys()|list }}{{ d.values()|list }}{{ d|items|list }}
{{ '<' ~ ('&'|e) ~ '>' }}{{ ('<'|safe) + '<' }}{{ '<' + ('&'|e) }}{{ ('<'|e)|upper }}{{ ('&'|e)|e }}
{{ people|map(attribute='name')|join(', ') }}{{ people|selectattr('age','equalto',3)|map(attribute='name')|list }}
{{ people|groupby('age') }}{% for k, g in people|groupby('age') %}{{ k }}:{{ g|length }};{% endfor %}
{% set g = nums|map('string') %}{{ g|join }}{{ g|join }}
{% set g = nums|map('string') %}{{ g|list|length }}{% for x in g %}{{ x }}{% endfor %}
{{ nums|select('odd')|list }}{{ nums|reject('odd')|list }}{{ nums|map('int')|sum }}
{{ text|trim }}|{{ text|indent(2) }}|{{ text.strip().split('\n') }}
{{ messages|tojson }}{{ messages|tojson(indent=4) }}{{ uni|tojson }}{{ d|tojson(sort_keys=true) }}{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}
{{ missing|tojson }}
{{ namespace(a=1)|tojson }}
{{ [1, (2, 3), {'a': none}]|tojson }}{{ [1.0, 1e100, 1e-7, 0.1, 100000000000000000.0, -0.0]|tojson }}
{{ [1.0, 1e100, 1e-7, 0.1, 1e16, 123456789.123, 1/3] }}
{% include 'x' %}
{% extends 'x' %}
{% do nums.append(1) %}
{{ nums.append(1) }}
{{ d.update({'a': 1}) }}
{{ d.pop('a') }}
{{ ''.__class__ }}
{{ ''.__class__.__mro__ }}
{% endif %}
{% if yes %}
{% if %}x{% endif %}
{% for x nums %}{% endfor %}
{% for x in nums %}
{% else %}
{{ }}
{{ 1 + }}
{{ (1 }}
{{ [1, 2 }}
{{ {'a' 1} }}
{{ 'abc }}
{{ a b }}
{{ 1 2 }}
{% set = 1 %}
{% set x %}
{% macro %}{% endmacro %}
{% macro m(a b) %}{% endmacro %}
{% unknown %}
{% %}
{{ x | }}
{{ x is }}
{{ x. }}
{{ x[ }}
{{ x[] }}
{# open
{{ open
{% if yes %}{% endfor %}
{% call x %}{% endcall %}
{% break %}
{% if yes %}{% continue %}{% endif %}
{{ loop }}
{% for x in nums %}{{ loop }}{% endfor %}
{{ m(a=1, 2) }}
{{ ~ }}
{{ @ }}
{{ a $ b }}
{{ 1 if 2 else }}
{% set seven.x = 1 %}
{% set d.x = 1 %}
{% set missing.x = 1 %}
{{ 'a' 1 }}
{{ true.x }}{{ True }}{{ None }}{{ False }}{{ TRUE is defined }}
{{ ((((1)))) }}{{ [[[1]]] }}
{{ -seven }}{{ +seven }}{{ - -seven }}{{ not not yes }}
{{ seven|string + 'x' }}{{ seven ~ 'x' | upper }}{{ (seven ~ 'x') | upper }}
{{ 'a,b'.split(',')[1] }}{{ 'abc'.upper().lower()[0] }}{{ word.split()|last }}{{ (word|upper).lower() }}
{{ 'x' * 3 }}{{ [1] * 2 }}{{ 3 * 'x' }}{{ [1] + [2] }}{{ (1,) + (2,) }}
{{ [1] + (2,) }}
{{ 'a' + 1 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 9223372036854775807 + 1 if no }}
{%- set x = 1 -%}
{%- if x == 1 -%}
  one
{%- endif -%}
a  {{- 1 }}  {{ 2 -}}  b
	{%- if yes %}	tab{% endif %}
{{ 1_000 }} {{ 0x1F }} {{ 1.5e3 }} {{ 1e-3 }}
{{ 012 }}
{{ word is defined if no }}""".strip("\n").split("\n")

WHOLES = [
    "a\n{% if yes %}\n  b\n{% endif %}\nc\n",
    "a\r\n{% if yes %}\r\nb\r\n{% endif %}\r\n",
    "\n\n{{ 1 }}\n\n",
    "{{ 1 }}\n",
    "  {% set x = 1 %}  \n  {{ x }}\n",
    "{% for i in nums -%}\n  {{ i }}\n{% endfor %}\n",
    "x\n   {#- c -#}\n  y",
    "{#\nx\n#}\ny",
    "\u00a0{%- if yes -%}\u00a0x{% endif %}",
    "{% raw %}\n  {{ a }}\n{% endraw %}\nz",
    "  {% raw %} a {% endraw %}\n b",
    "  {% raw %}  x\n  {% endraw %}\ny",
    "{%- raw %} a {% endraw -%}\n b",
    "{% for m in messages %}\n{% if loop.first %}\nF\n{% endif %}\n{{ m.content }}\n{% endfor %}\n",
    "{{\n1\n+\n2\n}}",
    "{%\nif\nyes\n%}x{%\nendif\n%}",
    "{% if yes %}\n\n\nx{% endif %}\n\n\n",
    "a {%+ if yes +%}\n b{% endif %}",
    "\t {%+ if yes %}b{% endif %}",
    "x{% if yes %}\n{%- endif %}\ny",
    "a\x0b{% if yes %}\x0b\nb{% endif %}",
    "  {% if yes %}\n  x\n  {% endif %}\ny\n  {%+ if yes %}\nz\n  {{ seven }}\n  {{- seven -}}\n  end{% endif %}",
]
DEEP = [
    text
    for n in (5, 65, 125)
    for text in (
        "{{ " + "(" * n + "1" + ")" * n + " }}",
        "{{ 1" + "+1" * n + " }}",
        "{% if yes %}" * min(n, 90) + "x" + "{% endif %}" * min(n, 90),
        "{% if no %}" + "".join(f"{{% elif seven == {i} %}}{i}" for i in range(n)) + "{% else %}z{% endif %}",
        "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(" + str(min(n, 40)) + ") }}",
    )
]


def test_statements_and_mistakes():
    check(LINES)


def test_white_space():
    check(WHOLES)


def test_nesting():
    check(DEEP)


# Python goes on where 128 bits end, has sets, bytes and complex numbers, and a few formats more.
LIMITS = ["{{ 2 ** 200 }}", "{{ 1e30|int * 1e30|int }}", "{{ d.keys() - ['a'] }}", "{{ word.encode() }}"]
LIMITS += ["{{ neg ** half }}", "{{ '%c' % 65 }}", "{{ '%.3d' % 7 }}"]


@pytest.mark.parametrize("text", LIMITS)
def test_what_is_not_there_is_refused(text):
    (found,) = lathe_render([(text, VARIABLES)])
    assert isinstance(found, dict) and "template line 1: " in found["error"]
