"""The little browser reads forms as a real one would."""

from infra.local.browser import Form, forms_of

PAGE = """
<form method="post" action="/pay">
  <input name="email" value="a@b.example"><input type="hidden" name="sub" value="s1">
  <input type="checkbox" name="terms"><input type="checkbox" name="news" checked value="yes">
  <select name="plan"><option value="m">Monthly</option><option value="y" selected>Yearly</option></select>
  <button name="action" value="pay">Pay <b>9&nbsp;€</b></button><button>Go</button>
  <input type="submit" name="action" value="Leave">
</form>
<form><select name="only"><option value="first">1</option><option value="second">2</option></select></form>
"""


def test_a_form_sends_its_values_its_choices_and_the_button_pressed() -> None:
    first, second = forms_of(PAGE)
    assert first == Form(
        action="/pay",
        method="post",
        fields={"email": "a@b.example", "sub": "s1", "news": "yes", "plan": "y"},
        buttons={"Pay 9\xa0€": ("action", "pay"), "Go": None, "Leave": ("action", "Leave")},
    )
    assert second.fields == {"only": "first"}
