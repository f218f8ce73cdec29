package daca

import (
	"fmt"

	"daca/internal/core"
	"daca/internal/host"
)

// Setting is a setting of the agent type, or another text when there is none.
func Setting(key, otherwise string) (string, error) {
	value, err := host.ConfigGet(key)
	if err != nil || value == nil {
		return otherwise, err
	}
	return *value, nil
}

// Settings are all settings of the agent type.
func Settings() (map[string]string, error) {
	all, err := host.ConfigGetAll()
	if err != nil {
		return nil, err
	}
	return table(all), nil
}

// Secret has the values of a secret, by key.
func Secret(name string) (map[string]string, error) {
	values, err := host.SecretGet(name)
	if err != nil {
		return nil, err
	}
	return table(values), nil
}

// logger is the host's log.
type logger struct{}

// Log writes lines to the host's log. They stay even if the turn fails. What is printed reaches the log, too.
var Log logger

// Tracef writes a line of detail of the control flow.
func (logger) Tracef(format string, values ...any) { line(host.Trace, format, values) }

// Debugf writes a line that is of use while debugging.
func (logger) Debugf(format string, values ...any) { line(host.Debug, format, values) }

// Infof writes a line about a normal event.
func (logger) Infof(format string, values ...any) { line(host.Info, format, values) }

// Warnf writes a line about an unexpected condition.
func (logger) Warnf(format string, values ...any) { line(host.Warn, format, values) }

// Errorf writes a line about a failure.
func (logger) Errorf(format string, values ...any) { line(host.LevelError, format, values) }

func line(level host.Level, format string, values []any) {
	host.Log(level, "", core.WellFormed(fmt.Sprintf(format, values...)))
}
