package core

import "testing"

func TestAFailureThatIsCutWithinALetterIsText(t *testing.T) {
	if told := Told(&Failure{Failed, "aü"[:2]}); told != "a\uFFFD" {
		t.Fatalf("%q", told)
	}
}
